from __future__ import annotations

import shlex
from typing import Any

import pytest

from compiler.commands.build import build
from compiler.report.sentences import cost_lines, data_lines, repeat_command

ASKED: dict[str, Any] = {
    "program": "./my sums.py",
    "optimizer": "GEPA",
    "arguments": {},
    "seed": 3,
    "student": {"name": "default"},
    "teacher": None,
}
SPLIT = {"split": {"earlier_looks_at_test": 0, "notes": []}}
COST = {
    "build_usd": 0.5,
    "usd_per_1000": 0.01,
    "teacher_usd_per_1000": 0.2,
    "teacher_tokens_per_1000": 98723.3,
}


def parsed(command: str) -> dict[str, Any]:
    program, verb, *arguments = shlex.split(command)
    assert (program, verb) == ("compiler", "build")
    return build.make_context("build", arguments).params


def test_the_command_takes_what_the_build_took() -> None:
    asked = ASKED | {"arguments": {"k": 3, "name": "a b", "number": "7"}, "teacher": {"name": "default"}}
    settings = {
        "files": {"train": "rows.jsonl", "dev": None, "test": "held out.jsonl"},
        "ceiling": {"usd": 0.25, "calls": 1234567, "minutes": None},
        "target": 0.9,
        "required_gain": None,
    }
    given = parsed(repeat_command(asked, settings))
    assert (given["program"], given["optimizer"], given["seed"]) == ("./my sums.py", "GEPA", 3)
    assert given["arguments"] == ("k=3", "name=a b", 'number="7"')
    assert (str(given["data"]), given["dev"], str(given["test"])) == ("rows.jsonl", None, "held out.jsonl")
    assert (given["max_usd"], given["max_calls"], given["target"]) == (0.25, 1234567, 0.9)
    assert (given["students"], given["teacher"]) == ((), "default")


def test_a_student_of_another_name_is_named() -> None:
    given = parsed(repeat_command(ASKED | {"student": {"name": "small"}}, {}))
    assert given["students"] == ("small",) and given["max_calls"] is None


def test_a_build_says_when_it_has_paid_for_itself() -> None:
    told = cost_lines({"seconds": 12.0, "cost": COST | {"break_even": 2632, "reason": None}})
    assert told == [
        "It ran 12.0 s.",
        "1,000 answers cost 0.0100 USD; the teacher alone would take 0.2000 USD and 98,723 tokens.",
        "The build's 0.5000 USD are back after 2,632 answers.",
    ]


def test_without_a_break_even_the_reason_is_told() -> None:
    cost = {"break_even": None, "reason": "no teacher was measured"}
    told = cost_lines({"seconds": 5, "estimated": {"seconds": 90}, "cost": cost})
    assert told == [
        "It ran 5.0 s; about 1 min 30 s were expected.",
        "No break-even: no teacher was measured.",
    ]


@pytest.mark.parametrize(("looks", "times"), [(1, "once"), (3, "3 times")])
def test_earlier_looks_are_counted(looks: int, times: str) -> None:
    (line,) = data_lines({"split": {"earlier_looks_at_test": looks}})
    assert line.startswith(f"These test examples were looked at {times} before")


def test_nearly_doubled_rows_are_told_with_the_score_without_them() -> None:
    doubled = {"rows": 4, "share": 0.02, "score_without": {"mean": 0.71}}
    assert data_lines(SPLIT | {"duplicates": doubled})[1] == (
        "Test rows that are nearly training or dev rows: 4 (2.0 %); without them the score is 71.0 %."
    )
    assert data_lines(SPLIT | {"duplicates": {"rows": 0}})[1].startswith("No test row is nearly")
