"""Tests for compiler/traffic/rows.py: which answers become rows, and with which labels."""

from __future__ import annotations

from typing import Any

import pytest

from compiler.traffic.log import Exchange
from compiler.traffic.rows import Found, Only, Wanted, example_rows


def exchange(question: str, at: float = 0.0, said: Any = None, **changes: Any) -> Exchange:
    parts: dict[str, Any] = {
        "response_id": f"r-{question}-{at}",
        "at": at,
        "release": "sums@0123456789ab",
        "answer": "answer",
        "reasoning": ["reasoning"],
        "inputs": {"question": question},
        "outputs": [{"reasoning": "I guessed.", "answer": "4"}],
        "answered": True,
        "said": said or {},
    }
    return Exchange(**{**parts, **changes})


def found(*exchanges: Exchange, **wanted: Any) -> Found:
    newest_first = sorted(exchanges, key=lambda it: it.at, reverse=True)
    return example_rows(newest_first, Wanted(**wanted))


def test_a_correction_is_the_label_and_what_led_to_the_wrong_answer_is_gone() -> None:
    (row,) = found(exchange("2+3", 1.5, {"correction": {"answer": "5"}, "score": 0})).rows
    assert row == {
        "question": "2+3",
        "answer": "5",
        "smallforge": {
            "release": "sums@0123456789ab",
            "response_id": "r-2+3-1.5",
            "at": "1970-01-01T00:00:01.500+00:00",
            "feedback": "corrected",
            "score": 0,
        },
    }


def test_what_was_not_corrected_of_several_outputs_stays() -> None:
    outputs = [{"reasoning": "r", "answer": "4", "unit": "kg"}]
    (row,) = found(exchange("q", said={"correction": {"answer": "5"}}, outputs=outputs)).rows
    assert (row["answer"], row["unit"], "reasoning" in row) == ("5", "kg", False)


@pytest.mark.parametrize("said", [{"score": 1}, {"label": "approved"}, {"score": 0.9, "label": "nice"}])
def test_an_approved_answer_is_its_own_label_with_all_that_led_to_it(said: dict[str, Any]) -> None:
    (row,) = found(exchange("2+2", said=said), min_score=0.9).rows
    assert (row["answer"], row["reasoning"]) == ("4", "I guessed.")
    assert row["smallforge"]["feedback"] == "approved"


@pytest.mark.parametrize("said", [{"score": 0.8}, {"label": "rejected"}, {"score": 1, "label": "rejected"}])
def test_a_bad_answer_without_a_better_one_is_none(said: dict[str, Any]) -> None:
    result = found(exchange("2+2", said=said), min_score=0.9, only="all")
    assert (result.rows, result.left_out) == ([], {"rejected or cut": 1})


@pytest.mark.parametrize(
    "changes", [{"answered": False}, {"outputs": [{"answer": "4"}, {"answer": "5"}]}, {"outputs": []}]
)
def test_what_is_no_single_whole_answer_can_only_be_corrected(changes: dict[str, Any]) -> None:
    assert found(exchange("q", said={"score": 1}, **changes)).rows == []
    (row,) = found(exchange("q", said={"correction": {"answer": "5"}}, **changes)).rows
    assert row["answer"] == "5" and "reasoning" not in row


@pytest.mark.parametrize(
    ("only", "questions"),
    [(None, ["c", "s"]), ("corrected", ["c"]), ("scored", ["s"]), ("all", ["u", "c", "s"])],
)
def test_only_says_which_are_taken(only: Only | None, questions: list[str]) -> None:
    asked = [
        exchange("u", 1),
        exchange("c", 2, {"correction": {"answer": "5"}}),
        exchange("s", 3, {"score": 1}),
    ]
    assert [row["question"] for row in found(*asked, only=only).rows] == questions


def test_of_equal_questions_the_corrected_counts_then_the_newest() -> None:
    result = found(
        exchange("q", 1, {"correction": {"answer": "old"}}),
        exchange("q", 2, {"correction": {"answer": "new"}}),
        exchange("q", 3, {"score": 1}),
        exchange("other", 4, {"score": 1}),
        exchange("other", 5),
        only="all",
    )
    assert [row["answer"] for row in result.rows] == ["new", "4"]
    assert (result.kinds, result.left_out) == ({"corrected": 1, "approved": 1}, {"asked again": 3})


def test_the_limit_keeps_the_newest() -> None:
    asked = [exchange(str(number), number, {"score": 1}) for number in range(5)]
    result = found(*asked, limit=2)
    assert [row["question"] for row in result.rows] == ["3", "4"]
    assert result.left_out == {"beyond the limit": 3}


def test_rows_with_problems_are_left_out_and_counted() -> None:
    asked = [exchange("good", 1, {"score": 1}), exchange("bad", 2, {"score": 1})]
    result = example_rows(asked, Wanted(), lambda row: ["no"] if row["question"] == "bad" else [])
    assert [row["question"] for row in result.rows] == ["good"]
    assert result.left_out == {"no longer of the program's types": 1}
