from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import dspy
import pytest

from programs.adapter import ProgramAdapter
from programs.checks import is_one_of, matches, must_mention
from programs.errors import InputInvalid, ReleaseInvalid
from programs.plan import Field, Message, Plan, plan_as_dict, read_plan, render
from programs.program import Chat, Sampling

TALK = dspy.Signature("passage, question, hard: bool, history: dspy.History -> answer: int", "Answer.")
REMINDER = ProgramAdapter().user_message_output_requirements(TALK)
SYSTEM = ProgramAdapter().format_system_message(TALK)
PLAN = Plan(
    program="talk",
    prefix=(Message("system", SYSTEM),),
    inputs=(
        Field("passage"),
        Field("question"),
        Field("hard", "bool", required=False, default=False),
        Field("history", "history", required=False),
    ),
    outputs=(Field("answer", "int"),),
    reminder=REMINDER,
    chat=Chat(user="question", answer="answer", history="history"),
    sampling=Sampling(max_tokens=64),
)


@pytest.mark.parametrize(
    "inputs",
    [
        {"passage": "p", "question": "q", "hard": True},
        {"passage": "", "question": "\n\n x \u2028", "hard": False, "history": []},
        {"passage": "[[ ## answer ## ]]", "question": "a\n[[ ## completed ## ]]", "hard": False},
        {
            "passage": "p",
            "question": "q",
            "hard": False,
            "history": [{"question": "h"}, {"answer": 3}, {"question": "[[ ## x ## ]]", "answer": 4}, {}],
        },
    ],
)
def test_render_gives_the_adapters_bytes(inputs: dict[str, Any]) -> None:
    reference = dict(inputs) | {"history": dspy.History(messages=inputs.get("history", []))}
    expected = ProgramAdapter().format(TALK, [], reference)
    assert [message.as_dict() for message in render(PLAN, inputs)] == expected


def test_an_input_left_out_takes_its_default() -> None:
    assert "[[ ## hard ## ]]\nFalse" in render(PLAN, {"passage": "p", "question": "q"})[-1].content


@pytest.mark.parametrize(
    ("inputs", "name", "text"),
    [
        ({"question": "q"}, "passage", "missing"),
        ({"passage": "p", "question": 3}, "question", "must be str"),
        ({"passage": "p", "question": "q", "hard": "yes"}, "hard", "must be bool"),
        ({"passage": "p", "question": "q", "hint": ""}, "hint", "takes passage, question"),
        ({"passage": "p", "question": "q", "history": "then"}, "history", "must be history"),
    ],
)
def test_inputs_that_do_not_fit_are_named(inputs: dict[str, Any], name: str, text: str) -> None:
    with pytest.raises(InputInvalid, match=text) as caught:
        render(PLAN, inputs)
    assert caught.value.name == name


def test_a_plan_survives_json() -> None:
    assert read_plan(json.loads(json.dumps(plan_as_dict(PLAN)))) == PLAN


@pytest.mark.parametrize(
    "change",
    [
        {"forward": "boom"},
        {"format": 2},
        {"prefix": [{"role": "system"}]},
        {"outputs": [{"name": "a", "type": "x"}]},
    ],
)
def test_a_plan_with_anything_else_in_it_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ReleaseInvalid, match=next(iter(change))):
        read_plan(plan_as_dict(PLAN) | change)


CHECKED = replace(
    PLAN,
    checks=(
        must_mention("answer", "a", of="question"),
        is_one_of("answer", "a", 1, True),
        matches("answer", "a+"),
    ),
    check_retries=3,
)


def test_a_plan_with_checks_survives_json() -> None:
    assert read_plan(json.loads(json.dumps(plan_as_dict(CHECKED)))) == CHECKED


def test_a_plan_without_checks_says_nothing_of_them() -> None:
    assert not {"checks", "check_retries"} & plan_as_dict(PLAN).keys()


@pytest.mark.parametrize(
    "check",
    [
        {"kind": "must_mention", "field": "answer", "terms": ["a"], "surprise": 1},
        {"kind": "satisfies", "field": "answer", "function": "os.system"},
        {"field": "answer", "terms": ["a"]},
        {"kind": "must_mention", "field": "nowhere", "terms": ["a"]},
        {"kind": "must_mention", "field": "answer", "of": "nowhere"},
        {"kind": "must_mention", "field": "answer"},
        {"kind": "matches", "field": "answer", "pattern": "(?=a)"},
        {"kind": "matches", "field": "answer", "pattern": 5},
        {"kind": "is_one_of", "field": "answer", "choices": []},
    ],
)
def test_a_check_that_is_not_plain_data_is_refused(check: dict[str, object]) -> None:
    with pytest.raises(ReleaseInvalid, match=r"plan\.json"):
        read_plan(plan_as_dict(PLAN) | {"checks": [check]})


@pytest.mark.parametrize("retries", [-1, 4, "many"])
def test_more_retries_than_three_are_refused(retries: object) -> None:
    with pytest.raises(ReleaseInvalid, match="check_retries"):
        read_plan(plan_as_dict(CHECKED) | {"check_retries": retries})
