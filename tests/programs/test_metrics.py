from __future__ import annotations

import asyncio

import dspy
import pytest

from programs.comparison import normalise_text
from programs.errors import MetricError, ProgramInvalid
from programs.measuring import measure, metric_name
from programs.metrics import (
    containment,
    exact_match,
    labels_of,
    numeric_match,
    token_f1,
    weighted_sum,
)
from programs.program import Metric
from programs.text_metrics import length_ratio


def score(metric: Metric, labelled: object, predicted: object, trace: object = None) -> float:
    return float(metric(dspy.Example(answer=labelled), dspy.Prediction(answer=predicted), trace))


@pytest.mark.parametrize(
    ("labelled", "predicted", "expected"),
    [
        ("Paris", " Paris\n", 1), ("Paris", "paris", 0), (5, 5, 1), (5, " 5 ", 1), (5, 6, 0),
        (True, True, 1), (["a", "b"], ["a", "b"], 1), (["Rome", "Paris"], "Paris", 1), (["Rome"], "Oslo", 0),
    ],
)  # fmt: skip
def test_exact_match_wants_the_same_value(labelled: object, predicted: object, expected: float) -> None:
    assert score(exact_match("answer"), labelled, predicted) == expected


def test_normalised_exact_match_overlooks_case_articles_and_punctuation() -> None:
    assert score(exact_match("answer", normalise=True), "The Eiffel Tower", "eiffel  tower.") == 1


def test_metrics_name_the_fields_that_a_row_must_have_for_them() -> None:
    parts = weighted_sum((exact_match("name"), 1), (token_f1("name"), 1), (numeric_match("price"), 1))
    nested = weighted_sum((parts, 1), (length_ratio("note"), 1), (length_ratio("motto", words=5), 1))
    assert labels_of(nested) == ("name", "price", "note")
    assert labels_of(lambda example, prediction, trace=None: 1.0) == ()


def test_numeric_match_compares_numbers_not_their_forms() -> None:
    metric = numeric_match("answer")
    assert score(metric, "1000", "The total is $1,000.00") == 1
    assert score(metric, "0.5", "1/2") == 1
    assert score(metric, "18", "19") == 0


def test_numeric_match_without_a_number_on_either_side_is_wrong() -> None:
    assert score(numeric_match("answer"), "none", "none") == 0


@pytest.mark.parametrize(
    ("labelled", "predicted", "expected"),
    [
        ("the cat sat", "cat sat down", 0.8), ("a b", "A, b!", 1), ("cat", "dog", 0), ("yes", "yes it is", 0),
        ("yes", "no", 0), ("yes", "Yes.", 1), ("noanswer", "no answer", 0), ("", "", 1), ("", "x", 0),
    ],
)  # fmt: skip
def test_token_f1_scores_shared_words(labelled: str, predicted: str, expected: float) -> None:
    assert score(token_f1("answer"), labelled, predicted) == pytest.approx(expected)


def test_token_f1_takes_the_best_of_several_labels() -> None:
    assert score(token_f1("answer"), ["New York City", "NYC"], "NYC") == 1


def test_normalisation_is_the_official_one() -> None:
    assert normalise_text("The  U.S. and a-b, an Apple!") == "us and ab apple"


@pytest.mark.parametrize(
    ("labelled", "predicted", "expected"),
    [("Paris", "It is in Paris, France.", 1), ("art", "the party", 0), ("", "anything", 0)],
)
def test_containment_looks_for_whole_words(labelled: str, predicted: str, expected: float) -> None:
    assert score(containment("answer"), labelled, predicted) == expected


def test_while_demonstrations_are_collected_only_good_enough_counts() -> None:
    assert score(token_f1("answer"), "one two three", "one", trace=[]) == 0
    assert score(token_f1("answer"), "one two three four", "one two three four five", trace=[]) == 1


def test_a_missing_output_scores_nothing() -> None:
    example, empty = dspy.Example(answer="x"), dspy.Prediction()
    metrics = (exact_match("answer"), numeric_match("answer"), token_f1("answer"), containment("answer"))
    assert [metric(example, empty) for metric in metrics] == [0, 0, 0, 0]


def test_a_weighted_sum_is_a_mean_from_zero_to_one() -> None:
    metric = weighted_sum((exact_match("code"), 3), (exact_match("note"), 1))
    example = dspy.Example(code="A", note="B")
    assert metric(example, dspy.Prediction(code="A", note="x")) == 0.75
    assert metric(example, dspy.Prediction(code="A", note="B")) == 1


@pytest.mark.parametrize("weights", [(), (0.0,), (-1.0, 2.0)])
def test_a_weighted_sum_refuses_weights_that_mean_nothing(weights: tuple[float, ...]) -> None:
    with pytest.raises(ProgramInvalid, match="weight"):
        weighted_sum(*((exact_match("answer"), weight) for weight in weights))


def test_every_metric_has_a_readable_name() -> None:
    def rubric(example: dspy.Example, prediction: dspy.Prediction, trace: object = None) -> float:
        return 1.0

    both = weighted_sum((exact_match("code"), 3), (token_f1("note"), 1))
    names = [metric_name(metric) for metric in (numeric_match("total"), both, rubric)]
    assert names == ["numeric_match(total)", "3 exact_match(code) + 1 token_f1(note)", "rubric"]


def feedback(metric: Metric, labelled: object, predicted: object) -> str:
    example, prediction = dspy.Example(answer=labelled), dspy.Prediction(answer=predicted)
    return asyncio.run(measure(metric, example, prediction)).feedback


@pytest.mark.parametrize(
    ("metric", "labelled", "predicted", "expected"),
    [
        (exact_match("answer"), "12", "13", "answer: expected '12', got '13'"),
        (exact_match("answer"), "12", "12", ""),
        (exact_match("answer"), ["a", "b"], "c", "answer: expected 'a', got 'c' (1 more answers would do)"),
        (exact_match("answer"), "x", None, "answer: there is none"),
        (numeric_match("answer"), "1", "no", "answer: expected the number in '1', got no number in 'no'"),
        (numeric_match("answer"), 12, "13 apples", "answer: expected 12, got '13 apples'"),
        (
            token_f1("answer"), "red old car", "red new car",
            "answer: expected 'red old car', got 'red new car'; missing words 'old'; needless words 'new'",
        ),
        (containment("answer"), "Paris", "Rome", "answer: must contain 'Paris', got 'Rome'"),
    ],
)  # fmt: skip
def test_a_metric_says_what_the_answer_lacks(
    metric: Metric, labelled: object, predicted: object, expected: str
) -> None:
    assert feedback(metric, labelled, predicted) == expected


def test_long_values_are_cut_in_feedback() -> None:
    assert len(feedback(exact_match("answer"), "a" * 5000, "b" * 5000)) < 700


def test_nested_sums_tell_every_part_and_two_of_one_name_apart() -> None:
    inner = weighted_sum((exact_match("answer"), 1), (containment("answer"), 1), name="wording")
    metric = weighted_sum((inner, 1), (exact_match("answer"), 1), name="all")
    found = asyncio.run(measure(metric, dspy.Example(answer="x"), dspy.Prediction(answer="x y")))
    assert found.score == 0.25 and metric_name(metric) == "all"
    assert found.parts == {
        "wording": 0.5,
        "exact_match(answer)": 0.0,
        "containment(answer)": 1.0,
        "exact_match(answer) (2)": 0.0,
    }


def test_a_weighted_sum_is_yes_while_demonstrations_are_collected_where_the_whole_is_good_enough() -> None:
    metric = weighted_sum((exact_match("code"), 3), (token_f1("note"), 1))
    example = dspy.Example(code="A", note="one two three")
    assert metric(example, dspy.Prediction(code="A", note="one two"), []) == 1
    assert metric(example, dspy.Prediction(code="A", note="four"), []) == 0


def test_a_weighted_sum_takes_functions_that_give_predictions_or_are_async() -> None:
    def half(example: dspy.Example, prediction: dspy.Prediction, trace: object = None) -> dspy.Prediction:
        return dspy.Prediction(score=0.5, feedback="half of it")

    async def later(example: dspy.Example, prediction: dspy.Prediction, trace: object = None) -> float:
        return 1.0

    example, prediction = dspy.Example(), dspy.Prediction()
    assert weighted_sum((half, 1))(example, prediction) == 0.5
    found = asyncio.run(measure(weighted_sum((half, 1), (later, 3)), example, prediction))
    assert (found.score, found.feedback) == (0.875, "half lost 0.12 of 0.25. half of it")
    with pytest.raises(MetricError, match="'later' is async"):
        weighted_sum((later, 1))(example, prediction)
