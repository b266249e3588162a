from __future__ import annotations

from typing import Any

import dspy
import pytest

from programs.measuring import Measured, measure
from programs.scripture_metrics import (
    accuracy,
    bare,
    cross_reference_recall,
    key_term_accuracy,
    scripture_score,
    theological_match_score,
)

ELOHIM = {"answer": "H0430 elohim", "key_terms": ["elohim/H0430/אֱלֹהִים"]}


def score(metric: Any, label: dict[str, Any], said: object) -> float:
    return float(metric("answer")(dspy.Example(**label), dspy.Prediction(answer=said)))


@pytest.mark.parametrize(
    ("label", "said", "expected"),
    [
        ("H0430 elohim", "H430", 1),
        ("H0430 elohim", "It is Elohim, H0430.", 1),
        ("H0430", "H0430 or H0410", 0),
        ("Genesis 1:1", "Gen. 1:1", 1),
        ("Genesis 1:1", "Gen 1:1 and 1:2", 0),
        ("Genesis 1:1; Genesis 1:3", "Gen 1:3; Gen 1:1", 1),
        ("to love", "To love.", 1),
        ("God", "God (H0430)", 1),
        ("God", "gods", 0),
        ("God", "", 0),
        ("God", "‏🕊 \x00", 0),
    ],
)
def test_accuracy_compares_ids_and_references_as_what_they_are(label: str, said: str, expected: int) -> None:
    assert score(accuracy, {"answer": label}, said) == expected


def test_any_accepted_variant_is_accurate() -> None:
    assert score(accuracy, {"answer": "to be", "answers": ["to be", "arose"]}, "Arose") == 1


@pytest.mark.parametrize("said", ["H430", "h0430", "Elohim", "e.lo.him", "אלהים", "the word אֱלֹהִים"])
def test_a_key_term_counts_in_each_of_its_forms(said: str) -> None:
    assert score(key_term_accuracy, ELOHIM, said) == 1


def test_key_terms_without_a_list_are_the_ids_of_the_label() -> None:
    assert score(key_term_accuracy, {"answer": "H0430 and H1254"}, "H0430 H0001") == 0.5
    assert score(key_term_accuracy, {"answer": "light"}, "dark") == 1
    assert score(key_term_accuracy, {"answer": "light"}, " ") == 0


def test_recall_of_references_counts_verses_within_a_range() -> None:
    label = {"answer": "two", "references": ["John 3:16", "Genesis 1:1"]}
    assert score(cross_reference_recall, label, "John 3:14-18") == 0.5
    assert score(cross_reference_recall, label, "Jn 3:16; Gen 1:1") == 1
    assert score(cross_reference_recall, {"answer": "John 3:16"}, "John 3:17") == 0


def test_the_match_weighs_terms_more_than_words() -> None:
    label = {"answer": "the maker is H0430", "key_terms": []}
    assert score(theological_match_score, label, "H0430") > score(
        theological_match_score, label, "the maker is"
    )
    assert score(theological_match_score, label, "The maker is H430.") == 1
    assert 0 < score(theological_match_score, ELOHIM, "H0430 H0001 H0002") < 0.6


async def test_the_sum_reports_its_four_parts_by_name() -> None:
    found: Measured = await measure(
        scripture_score("answer"), dspy.Example(**ELOHIM), dspy.Prediction(answer="elohim")
    )
    assert found.parts == {
        "accuracy": 0.0,
        "theological_match_score": pytest.approx(2 / 3),
        "key_term_accuracy": 1.0,
        "cross_reference_recall": 1.0,
    }
    assert found.score == pytest.approx(0.3 * 2 / 3 + 0.2 + 0.1)
    assert "expected 'H0430 elohim', got 'elohim'" in found.feedback


@pytest.mark.parametrize("said", [None, "", "\x00", "🕊" * 100_000, "H0430 " * 100_000, ["a"], 3])
def test_no_answer_however_strange_breaks_the_score(said: object) -> None:
    assert 0 <= score(scripture_score, ELOHIM, said) <= 1


@pytest.mark.parametrize("strange", [None, 3, {}, [3, None, ""], {"a": []}, True])
def test_what_is_no_list_of_texts_in_a_row_counts_as_none(strange: object) -> None:
    label = {"answer": "H0430", "key_terms": strange, "references": strange, "answers": strange}
    assert score(scripture_score, label, "H0430") == 1
    assert score(key_term_accuracy, label | {"key_terms": "elohim"}, "elohim") == 1


def test_bare_text_has_neither_points_nor_accents() -> None:
    assert (bare("אֱלֹהִים"), bare("θεός"), bare("e.lo.him")) == ("אלהים", "θεοσ", "elohim")


def test_a_term_in_its_own_script_matches_as_in_ours() -> None:
    ours = score(theological_match_score, ELOHIM, "elohim")
    assert 0.5 < ours == score(theological_match_score, ELOHIM, "אֱלֹהִים")
    assert score(theological_match_score, ELOHIM, "H430 אלהים") == 1
    assert score(theological_match_score, ELOHIM, "theos") == 0


def test_a_label_of_an_article_alone_is_matched_by_itself() -> None:
    assert score(scripture_score, {"answer": "a"}, "a") == 1
    assert score(theological_match_score, {"answer": "a"}, "light") == 0
