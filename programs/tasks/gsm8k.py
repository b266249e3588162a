"""Grade-school word problems (GSM8K): work it out, then give the number."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from programs.data import HubDataset, benchmark_rows, data_folder
from programs.metrics import numeric_match
from programs.program import Chat, Program, Sampling, Split

if TYPE_CHECKING:
    import dspy

HUB = HubDataset("openai/gsm8k", "main", {"train": "train", "test": "test"})
# The published solutions note every sum as <<2*3=6>> for a calculator that no chat model has.
_CALCULATOR = re.compile(r"<<[^<>]*>>")


def make_module() -> dspy.Module:
    import dspy

    class WordProblem(dspy.Signature):
        """Solve the problem step by step."""

        question: str = dspy.InputField()
        answer: str = dspy.OutputField(desc="the final number, digits only")

    return dspy.ChainOfThought(WordProblem)


def examples(split: Split) -> Sequence[dspy.Example]:
    """Problems with their published solution as reasoning; a split that the source lacks is empty."""
    import dspy

    rows = (_read(row) for row in benchmark_rows("gsm8k", split, HUB, data_folder()))
    return [dspy.Example(**row).with_inputs("question") for row in rows]


def _read(row: Mapping[str, Any]) -> dict[str, str]:
    """Either form: rationale and number apart, or together as published, parted by `####`."""
    worked_out, _, number = str(row["answer"]).rpartition("####")
    reasoning = _CALCULATOR.sub("", str(row.get("rationale", worked_out))).strip()
    return {
        "question": str(row["question"]),
        "answer": number.strip().replace(",", ""),
        **({"reasoning": reasoning} if reasoning else {}),
    }


program = Program(
    name="gsm8k",
    make_module=make_module,
    examples=examples,
    metric=numeric_match("answer"),
    chat=Chat(user="question", answer="answer", reasoning=("reasoning",)),
    sampling=Sampling(temperature=0.0, max_tokens=400),
    description="Grade-school word problems, worked out step by step.",
)
