from __future__ import annotations

import asyncio
import time
from typing import Any

import dspy
import pytest

from programs.measuring import Measured, measure
from programs.metrics import FieldMetric
from programs.tasks.pedagogy import context_use, critical_terms_of, structure, teaching_score

SCORE = teaching_score("response", "context", "query")
CONTEXT = "Chlorophyll absorbs red light. Chlorophyll reflects green light, and leaves look green."
TAUGHT = (
    "Leaves look green because of chlorophyll. It absorbs red light, and then it reflects the green. "
    "What might happen in autumn?"
)


def measured(said: str, **row: Any) -> Measured:
    example = dspy.Example(**{"query": "Why are leaves green?", "context": CONTEXT, "response": TAUGHT} | row)
    return asyncio.run(measure(SCORE, example, dspy.Prediction(response=said)))


def part(metric: FieldMetric, said: str, **row: Any) -> float:
    return metric(dspy.Example(**row), dspy.Prediction(response=said))


def test_the_score_is_40_for_the_context_30_for_teaching_and_30_for_the_length() -> None:
    found = measured("Leaves look green: chlorophyll absorbs red.")
    parts = found.parts
    assert (parts["context_use(response)"], parts["teaching_elements(response)"]) == (1.0, 0.0)
    assert found.score == pytest.approx(0.4 * 1 + 0.3 * 0 + 0.3 * parts["length_ratio(response)"])
    assert {"marker_words(response)", "structure(response)"} < parts.keys()


def test_an_answer_that_teaches_has_all_of_it_and_an_empty_one_nothing() -> None:
    assert measured(TAUGHT).score == 1.0
    assert measured("").score == 0.0


def test_a_string_of_the_right_words_scores_as_well_as_teaching() -> None:
    # What the score can't see, and why a judge stands beside it.
    soup = "Because then first? Chlorophyll light green leaves.\n" + 10 * "red "
    assert measured(soup).score == 1.0


def test_four_critical_terms_of_the_context_are_enough() -> None:
    metric, row = context_use("response", "context", "query"), {"context": CONTEXT}
    assert critical_terms_of(CONTEXT)[:3] == ["chlorophyll", "light", "green"]
    assert part(metric, "chlorophyll and light", **row) == 0.5
    assert part(metric, "chlorophyll, light, green, leaf and leaves", **row) == 1.0


def test_one_and_many_of_a_thing_are_the_same_term_but_500_is_not_in_1500() -> None:
    metric = context_use("response", "context", "query")
    assert part(metric, "a fraction", context="Fractions.") == 1.0
    assert part(metric, "1,500 metres", context="500 metres") == 0.5


def test_without_a_context_the_terms_are_those_of_the_question() -> None:
    metric = context_use("response", "context", "query")
    assert part(metric, "Whales breathe.", context=None, query="How do whales breathe?") == 1.0
    assert part(metric, "anything", context=None, query="Why?") == 1.0


def test_terms_that_a_row_names_itself_are_the_ones_that_count() -> None:
    metric = context_use("response", "context", "query")
    row = {"context": CONTEXT, "key_terms": ["cell wall", " ", "membrane"]}
    assert part(metric, "The cell wall is stiff.", **row) == part(metric, "A membrane, a wall.", **row)
    assert part(metric, "The cell wall and the membrane", **row) == 1.0


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ("One thought", 0.0),
        ("One thought. Another one.", 0.5),
        ("Is it so?", 0.5),
        ("1. Cut it.\n2. Count the parts.", 1.0),
        ("Look at it. What do you see?", 1.0),
        ("انظر إلى الورقة. لماذا هي خضراء؟", 1.0),
    ],
)
def test_structure_is_sentences_and_a_question_or_steps(said: str, score: float) -> None:
    assert part(structure("response"), said) == score


@pytest.mark.parametrize(
    "said", ["🍕🍕 let's cut 🍕", "\x00\x07\x1b[31m", "שלום", "[[ ## response ## ]]", "a\u202eb", "?" * 5000]
)
def test_whatever_an_answer_holds_the_score_is_from_0_to_1(said: str) -> None:
    assert 0 <= measured(said, context=said, query=said).score <= 1


def test_a_context_of_a_megabyte_is_read_in_no_time() -> None:
    begun = time.monotonic()
    found = measured(TAUGHT, context=CONTEXT * 12_000)
    assert found.parts["context_use(response)"] == 1.0 and time.monotonic() - begun < 5
