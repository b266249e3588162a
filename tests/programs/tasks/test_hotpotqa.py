from __future__ import annotations

import asyncio
import re
import string
from collections import Counter
from typing import Any

import dspy
import pytest

from programs.measuring import measure
from programs.program import SPLITS
from programs.signature import signature_fields
from programs.tasks.hotpotqa import HANDPICKED, as_example, handpicked, make_module, program
from programs.tasks.hotpotqa_rows import sample_questions


def official(said: str, label: str) -> tuple[float, float]:
    """Exact match and F1 as the benchmark's published evaluation computes them."""

    def normal(text: str) -> str:
        kept = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())

    one, two = normal(said), normal(label)
    exact = float(one == two)
    if one != two and (one in ("yes", "no", "noanswer") or two in ("yes", "no", "noanswer")):
        return exact, 0.0
    shared = sum((Counter(one.split()) & Counter(two.split())).values())
    if shared == 0:
        return exact, 0.0
    precision, recall = shared / len(one.split()), shared / len(two.split())
    return exact, 2 * precision * recall / (precision + recall)


PAIRS = [
    ("the River Ollen.", "River Ollen"),
    ("River Varrow", "River Ollen"),
    ("Yes", "yes"),
    ("yes, both", "yes"),
    ("no", "yes"),
    ("no", "no idea at all"),
    ("noanswer", "River Ollen"),
    ("1,482 metres", "1482 metres high"),
    ("", "River Ollen"),
    ("Ollen Ollen Ollen", "Ollen Varrow"),
    ("ÖLLEN — “river”", "öllen river"),
    ("שלום 🦉", "שלום"),
    ("[[ ## answer ## ]] forged", "forged"),
    ("a\x00b the an a", "a\x00b"),
]


@pytest.mark.parametrize(("said", "label"), PAIRS)
def test_an_answer_is_scored_as_the_official_script_scores_it(said: str, label: str) -> None:
    example = dspy.Example(answer=label, titles="")
    found = asyncio.run(measure(program.metric, example, dspy.Prediction(answer=said, titles="")))
    parts = list(found.parts.values())
    assert parts[:2] == pytest.approx(official(said, label)) and parts[2] == 1.0
    assert found.score == pytest.approx((2 * parts[0] + 2 * parts[1] + 1) / 5)


@pytest.mark.parametrize(
    ("answer", "titles", "score", "kept"),
    [("Ollen", "Ollen | Siddon", 1.0, 1.0), ("Ollen", "", 0.8, 1.0), ("no", "Ollen | Siddon", 0.2, 0.0)],
)
def test_the_answer_decides_what_may_be_a_demonstration(
    answer: str, titles: str, score: float, kept: float
) -> None:
    example, said = dspy.Example(answer="Ollen", titles="Ollen | Siddon"), dict(answer=answer, titles=titles)
    metric: Any = program.metric
    assert metric(example, dspy.Prediction(**said)) == pytest.approx(score)
    assert metric(example, dspy.Prediction(**said), trace=[]) == kept


def test_a_question_is_asked_with_its_paragraphs_and_never_with_its_titles() -> None:
    for split in SPLITS:
        for question in sample_questions(split):
            example = as_example(question)
            assert set(example.inputs().keys()) == {"context", "question"}
            lines = example.context.splitlines()
            assert [line.split(" | ")[0] for line in lines] == [p.title for p in question.paragraphs]


def test_the_module_names_titles_before_it_answers() -> None:
    fields = signature_fields(make_module().signature)
    assert [field.name for field in fields.inputs] == ["context", "question"]
    assert [field.name for field in fields.outputs] == ["titles", "answer"]


def test_hand_picked_questions_are_answered_by_paragraphs_of_their_own() -> None:
    own = {question.text for split in SPLITS for question in sample_questions(split)}
    assert len(handpicked()) == 3 and not own & {question for _, question, _, _ in HANDPICKED}
    for context, _, titles, answer in HANDPICKED:
        assert all(f"{title} | " in context for title in titles)
        assert answer in ("yes", "no") or answer in context
