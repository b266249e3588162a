from __future__ import annotations

from typing import Any

import dspy
import pytest

from programs.checks import must_mention
from programs.errors import ProgramInvalid
from programs.program import Chat, Program


def make(**parts: Any) -> Program:
    return Program(
        name="quiz",
        make_module=lambda: dspy.Predict("question -> answer"),
        examples=lambda split: [],
        metric=lambda example, prediction, trace=None: 1.0,
        chat=Chat(user="question", answer="answer"),
        **parts,
    )


def test_a_program_has_no_checks_and_one_retry_unless_it_says_so() -> None:
    assert (make().checks, make().check_retries, make().handpicked) == ((), 1, None)


@pytest.mark.parametrize("retries", [-1, 4])
def test_more_retries_than_three_are_refused(retries: int) -> None:
    with pytest.raises(ProgramInvalid, match=f"check_retries={retries}: allowed are 0 to 3"):
        make(check_retries=retries)


@pytest.mark.parametrize("checks", [must_mention("answer", "a"), [must_mention("answer", "a")], ("answer",)])
def test_what_is_no_tuple_of_checks_is_refused_with_an_example(checks: object) -> None:
    with pytest.raises(ProgramInvalid, match=r"give a tuple of checks, as in checks=\(must_mention"):
        make(checks=checks)
