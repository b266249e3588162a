from __future__ import annotations

import random

import dspy
import pytest

from programs.program import SPLITS
from programs.tasks import arithmetic
from programs.tasks.lexicon import NAMES, share_of


@pytest.mark.parametrize("events", [1, 2, 3, 4])
def test_every_step_is_right_and_leads_to_the_answer(events: int) -> None:
    rng = random.Random(events)
    for _ in range(500):
        problem = arithmetic.draw(rng, events)
        assert len(problem.steps) == events
        count = None
        for step in problem.steps:
            left, sign, right, _, result = step.split()
            assert count in (None, int(left))
            count = {"+": int(left) + int(right), "-": int(left) - int(right), "x": int(left) * int(right)}[
                sign
            ]
            assert count == int(result) and 0 < count <= arithmetic.LARGEST
        assert count == problem.answer


def test_a_story_names_its_numbers_and_asks_for_the_last() -> None:
    problem = arithmetic.draw(random.Random(4), 2)
    assert problem.question.startswith(NAMES)
    assert problem.question.endswith("have now?")
    assert problem.reasoning("steps") == " ".join(f"{step}." for step in problem.steps)
    assert problem.reasoning("direct") == arithmetic.DIRECT


def test_splits_have_their_sizes_and_share_no_question() -> None:
    questions = {split: [e.question for e in arithmetic.examples(split)] for split in SPLITS}
    assert {split: len(set(of)) for split, of in questions.items()} == arithmetic.SIZES
    assert all(share_of(question) == split for split, of in questions.items() for question in of)


def test_examples_are_the_same_each_time_and_carry_no_reasoning() -> None:
    first, second = (arithmetic.examples("dev") for _ in range(2))
    assert [dict(e) for e in first] == [dict(e) for e in second]
    assert set(first[0].keys()) == {"question", "answer"}


def test_the_metric_compares_numbers() -> None:
    example = dspy.Example(question="", answer=12)
    assert arithmetic.metric(example, dspy.Prediction(answer=12)) == 1.0
    assert arithmetic.metric(example, dspy.Prediction(answer=" 12 ")) == 1.0
    assert arithmetic.metric(example, dspy.Prediction(answer=21)) == 0.0


def test_the_module_reasons_before_it_answers() -> None:
    ((_, predictor),) = arithmetic.make_module().named_predictors()
    assert list(predictor.signature.output_fields) == ["reasoning", "answer"]
    assert predictor.signature.output_fields["answer"].annotation is int
