"""A voice for a house: it calls the tools that a client offers with each request, or answers.

    compiler build ./examples/household/household.py

The client runs what is called, and asks again with what it gave: `examples/household/ask.py` does.
"""

from __future__ import annotations

from pathlib import Path

import dspy

from smallforge import Chat, Program, Sampling, Split, calls_match, exact_match, read_examples, weighted_sum

ROWS = Path(__file__).parent / "rows.jsonl"


class Household(dspy.Signature):
    """Call the tools that do what is asked. Where none is needed, or they have done it, reply in one line."""

    history: dspy.History = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    request: str = dspy.InputField()
    calls: dspy.ToolCalls = dspy.OutputField()
    reply: str = dspy.OutputField()


def make_module() -> dspy.Module:
    return dspy.Predict(Household)


def examples(split: Split) -> list[dspy.Example]:
    """All rows; the build cuts what selects and what tests from them."""
    return read_examples(ROWS, Household) if split == "train" else []


program = Program(
    name="household",
    make_module=make_module,
    examples=examples,
    metric=weighted_sum((calls_match("calls"), 4), (exact_match("reply", normalise=True), 1)),
    chat=Chat(user="request", answer="reply", history="history"),
    sampling=Sampling(temperature=0.0, max_tokens=160),
    description="Calls a client's tools for lamps, heating and timers",
)
