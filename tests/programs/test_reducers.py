from __future__ import annotations

import math
from typing import Any

import pytest

from programs.plan import Field
from programs.reducers import REDUCERS, Vote, refusal

TEXT, WHOLE, DECIMAL = Field("answer"), Field("answer", "int"), Field("answer", "float")


@pytest.mark.parametrize(
    ("answers", "vote"),
    [
        (["a", "b", "b"], Vote("b", 1)),
        (["a", "b", "c"], Vote("a", 0)),
        (["b", "a", "a", "b"], Vote("b", 0)),
        (["no", "Paris", " paris."], Vote("Paris", 1)),
        (["-5", "5", "5."], Vote("5", 1)),
        ([1, 2, 2], Vote(2, 1)),
        ([["A", "b"], ["x"], ["a", "B"]], Vote(["A", "b"], 0)),
    ],
)
def test_the_majority_wins_in_the_words_of_its_first_member(answers: list[Any], vote: Vote) -> None:
    assert REDUCERS["majority"](TEXT, answers) == vote


def test_first_takes_the_first_answer() -> None:
    assert REDUCERS["first"](TEXT, ["b", "a", "a"]) == Vote("b", 0)


@pytest.mark.parametrize(
    ("field", "answers", "vote"),
    [
        (WHOLE, [1, 2, 6], Vote(3, 1)),
        (WHOLE, [1, 2], Vote(2, 0)),
        (WHOLE, [10**400, 10**400 + 2], Vote(10**400 + 1, 0)),
        (DECIMAL, [0.5, 1.0], Vote(0.75, 0)),
        (DECIMAL, [1e308, 1e308], Vote(1e308, 0)),
        (DECIMAL, [math.nan, 2.0], Vote(2.0, 1)),
    ],
)
def test_the_mean_of_numbers_has_the_outputs_type(field: Field, answers: list[Any], vote: Vote) -> None:
    assert REDUCERS["mean"](field, answers) == vote


def test_nothing_finite_has_no_mean() -> None:
    assert REDUCERS["mean"](DECIMAL, [math.inf, math.nan]) == Vote(math.inf, 0)


def test_what_can_not_be_reduced_is_said() -> None:
    assert refusal("mean", TEXT) == "reducer 'mean' needs a number, output 'answer' is str"
    assert "known are majority, first, mean" in str(refusal("median", WHOLE))
    assert refusal("mean", WHOLE) is None and refusal("majority", TEXT) is None
