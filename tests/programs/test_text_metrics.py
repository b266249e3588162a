from __future__ import annotations

import asyncio

import dspy
import pytest

from programs.errors import MetricError, ProgramInvalid
from programs.measuring import Measured, measure
from programs.metrics import weighted_sum
from programs.program import Metric
from programs.text_metrics import critical_terms, length_ratio, marker_words


def look(metric: Metric, text: object, **example: object) -> Measured:
    return asyncio.run(measure(metric, dspy.Example(**example), dspy.Prediction(answer=text)))


def words(number: int) -> str:
    return " ".join(["word"] * number)


def test_critical_terms_are_those_of_the_row_and_the_missing_ones_are_named() -> None:
    metric = critical_terms("answer", of="key_terms")
    found = look(metric, "Light makes sugar.", key_terms=["light", "sugar", "carbon dioxide", "water"])
    assert found == Measured(0.5, {}, "answer: missing 2 of 4 terms: 'carbon dioxide', 'water'")
    assert look(metric, "anything", key_terms=[]).score == 1


def test_given_terms_and_those_of_the_row_count_together_once_each() -> None:
    metric = critical_terms("answer", "light", of="key_terms")
    assert look(metric, "light", key_terms=["light", "water"]).score == 0.5


def test_a_row_without_the_list_of_terms_is_the_metrics_error() -> None:
    with pytest.raises(MetricError, match="'key_terms'"):
        look(critical_terms("answer", of="key_terms"), "x")


def test_marker_words_are_counted_as_words_phrases_or_marks() -> None:
    metric = marker_words("answer", "for example", "because", "?")
    found = look(metric, "Why? Because it is, forexample.")
    assert found.score == pytest.approx(2 / 3)
    assert found.feedback == "answer: uses 2 of the 3 markers it should; not used: 'for example'"


def test_so_many_markers_can_be_enough() -> None:
    metric = marker_words("answer", "because", "so", "thus", "hence", enough=2)
    assert [look(metric, text).score for text in ("thus", "so, because", "so thus hence")] == [0.5, 1, 1]


@pytest.mark.parametrize(
    ("length", "score", "feedback"),
    [
        (100, 1, ""), (80, 1, ""), (125, 1, ""), (0, 0, None), (250, 0, None), (900, 0, None),
        (40, 0.5, "answer: 40 words, 40 too few: 80 to 125 are wanted"),
        (150, 0.8, "answer: 150 words, 25 too many: 80 to 125 are wanted"),
    ],
)  # fmt: skip
def test_length_is_right_in_a_band_and_falls_off_to_both_sides(
    length: int, score: float, feedback: str | None
) -> None:
    found = look(length_ratio("answer", words=100), words(length))
    assert found.score == pytest.approx(score)
    assert feedback is None or found.feedback == feedback


def test_length_is_the_labels_without_a_number_of_words() -> None:
    metric = length_ratio("answer", low=1, high=1)
    assert look(metric, words(5), answer=words(5)).score == 1
    assert look(metric, words(4), answer=words(5)).score == 0.8
    assert look(metric, words(3), answer=[words(9), words(3)]).score == 1
    assert look(metric, "-!-", answer="").score == 1


def test_the_teaching_score_is_a_weighted_sum_whose_parts_and_losses_are_told() -> None:
    metric = weighted_sum(
        (critical_terms("answer", of="terms"), 40),
        (length_ratio("answer", words=4, low=1, high=1), 30),
        (marker_words("answer", "because", "?"), 30),
    )
    found = look(metric, "it is light because", terms=["light", "water"])
    assert found.score == pytest.approx(0.4 * 0.5 + 0.3 + 0.3 * 0.5)
    assert found.parts == {
        "critical_terms(answer)": 0.5,
        "length_ratio(answer)": 1.0,
        "marker_words(answer)": 0.5,
    }
    assert found.feedback.splitlines() == [
        "critical_terms(answer) lost 0.20 of 0.40. answer: missing 1 of 2 terms: 'water'",
        "marker_words(answer) lost 0.15 of 0.30. answer: uses 1 of the 2 markers it should; not used: '?'",
    ]


def test_a_metric_that_could_not_tell_right_from_wrong_is_refused() -> None:
    with pytest.raises(ProgramInvalid, match="no terms"):
        critical_terms("answer")
    with pytest.raises(ProgramInvalid, match="has no words"):
        critical_terms("answer", " ")
    with pytest.raises(ProgramInvalid, match="needs markers"):
        marker_words("answer")
    with pytest.raises(ProgramInvalid, match="enough="):
        marker_words("answer", "so", enough=2)


@pytest.mark.parametrize(("words", "low", "high"), [(None, 0.0, 1.25), (None, 0.8, 0.9), (0, 0.8, 1.25)])
def test_a_band_that_no_length_can_be_in_is_refused(words: int | None, low: float, high: float) -> None:
    with pytest.raises(ProgramInvalid, match="length_ratio"):
        length_ratio("answer", words=words, low=low, high=high)
