from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, Literal

import dspy
import pytest

from compiler.candidate import PLAIN, Candidate
from compiler.hostility import hostile_texts, mutations
from compiler.lowering import lower, sole_predictor
from compiler.proof import lower_proven, prove
from programs.program import Chat, Program, Sampling
from tests.compiler.scripted import TwoSteps, chain, program, said, sums


class Everything(dspy.Signature):
    """Answers with every type that a plan knows."""

    question: str = dspy.InputField(desc="what is asked")
    count: int = dspy.InputField()
    share: float = dspy.InputField()
    sure: bool = dspy.InputField()
    words: list[str] = dspy.InputField()
    kind: Literal["small", "very large"] = dspy.InputField()
    tone: str = dspy.InputField(default="plain")
    history: dspy.History = dspy.InputField()
    answer: str = dspy.OutputField()
    total: int = dspy.OutputField()
    parts: list[str] = dspy.OutputField()
    label: Literal["yes", "no"] = dspy.OutputField()


VALUES: dict[str, Any] = {
    "question": "how many?", "count": 3, "share": 0.5, "sure": True, "words": ["a", 'b "c"'], "kind": "small",
    "history": dspy.History(messages=[{"question": "before?", "answer": "yes"}]),
}  # fmt: skip
REPLY = (
    "[[ ## reasoning ## ]]\nfirst this\n\nthen that é\n\n[[ ## answer ## ]]\nThe [[ ## answer ## ]] is 3.\n\n"
    '[[ ## total ## ]]\n3\n\n[[ ## parts ## ]]\n["x", "y"]\n\n[[ ## label ## ]]\nyes\n\n[[ ## completed ## ]]'
)
CHAT = Chat("question", "answer", history="history", reasoning=("reasoning",))


def everything() -> Program:
    return Program(
        "all", lambda: dspy.ChainOfThought(Everything), lambda _: [], lambda *_: 1.0, CHAT, Sampling()
    )


def test_a_signature_with_every_type_is_proven_on_hostile_inputs_and_broken_replies() -> None:
    demo = {
        **VALUES,
        "reasoning": "r",
        "answer": "a\n[[ ## total ## ]]",
        "total": 1,
        "parts": [],
        "label": "no",
    }
    asked = everything()
    example = dspy.Example(**VALUES).with_inputs(*VALUES)
    candidate = Candidate("shown", {"predict": [demo]})
    lowered = lower_proven((asked, asked.make_module()), candidate, None, [example], [REPLY, ""])
    assert lowered.reason is None and lowered.plan is not None and lowered.proof is not None
    assert lowered.proof.rendered > 80 and lowered.proof.readings > 1000


@pytest.mark.parametrize("change", [{"reminder": "Answer."}, {"prefix": ()}])
def test_a_plan_that_renders_otherwise_is_found_out(change: dict[str, Any]) -> None:
    plan = replace(lower(chain(), program(), PLAIN, None), **change)
    proof = prove(plan, sole_predictor(chain()), sums(3), [said("r", "1")])
    assert (
        proof.difference is not None and "the prompt for {'question': 'What is 0 + 0?'}" in proof.difference
    )


def test_a_plan_that_reads_otherwise_is_found_out() -> None:
    plan = lower(chain(), program(), PLAIN, None)
    typed = replace(plan, outputs=(plan.outputs[0], replace(plan.outputs[1], type="int")))
    proof = prove(typed, sole_predictor(chain()), sums(3), [said("r", "1")])
    assert proof.difference is not None and "is read differently" in proof.difference


def test_what_is_not_proven_is_interpreted_with_the_reason() -> None:
    # DSPy writes None for an optional input that is not given; a plan leaves it out.
    asked = Program(
        "optional",
        lambda: dspy.Predict("question, note: str | None -> answer"),
        lambda _: [],
        lambda *_: 1.0,
        CHAT,
    )
    example = dspy.Example(question="q", note=None).with_inputs("question", "note")
    lowered = lower_proven((asked, asked.make_module()), PLAIN, None, [example], [])
    assert lowered.plan is None and str(lowered.reason).startswith("the proof of its lowering failed")


def test_a_program_of_two_steps_is_interpreted_without_a_proof() -> None:
    lowered = lower_proven((program(TwoSteps), TwoSteps()), PLAIN, None, sums(3), [])
    assert lowered.plan is None and lowered.proof is None and "TwoSteps" in str(lowered.reason)


def test_hostile_texts_forge_every_field_of_the_program() -> None:
    texts = hostile_texts(lower(chain(), program(), PLAIN, None))
    for name in ("question", "reasoning", "answer", "completed"):
        assert any(f"[[ ## {name} ## ]]" in text for text in texts)


def test_mutations_drop_double_and_hide_markers_and_cut_anywhere() -> None:
    plan = lower(chain(), program(), PLAIN, None)
    reply = said("worked", "42")
    changed = list(mutations(reply, plan, random.Random(0)))
    assert any("[[ ## answer ## ]]" not in text and "42" in text for text in changed)
    assert any(text.count("[[ ## answer ## ]]") == 2 for text in changed)
    assert any(reply.startswith(text) and 0 < len(text) < len(reply) for text in changed)
