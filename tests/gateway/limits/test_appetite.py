"""How many tokens requests of each kind may take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.limits.appetite import Appetite, RunAppetite, appetite_of, most_written
from programs.ensemble import Ensemble
from programs.plan import Message, Plan
from programs.program import Chat, Sampling
from programs.release import Identity, Interpreted, Kind, Release
from tests.gateway.serving import make_plan

LONG = Message("system", "x" * 4000)


def release(kind: Kind, body: Plan | Ensemble) -> Release:
    identity = Identity("quiz", kind, "0" * 64, "default", {})
    return replace(Release(Path("quiz"), identity), **{kind: body})  # type: ignore[arg-type]


def plan(**changes: Any) -> Plan:
    return make_plan(prefix=(LONG,), sampling=Sampling(max_tokens=200), **changes)


def test_a_plan_takes_its_prompt_the_request_and_what_it_may_write() -> None:
    found = appetite_of(release("plan", plan())).of(size=400, runs=1, most=None)
    assert found.completion == 200 and 1100 <= found.prompt < 1150


def test_a_request_may_want_less_and_several_answers() -> None:
    run = RunAppetite(calls=1, prompt=1000, completion=200)
    assert run.of(size=400, runs=3, most=50) == Appetite(3 * 1101, 150)
    assert run.of(size=400, runs=1, most=5000).completion == 200


def test_an_ensemble_takes_what_its_members_take_together() -> None:
    one = appetite_of(release("plan", plan()))
    three = appetite_of(release("ensemble", Ensemble((plan(),) * 3, "majority")))
    assert three == RunAppetite(3, 3 * one.prompt, 600)


def test_a_module_is_taken_to_ask_each_of_its_predictors_once() -> None:
    state = {"first": {"instructions": "x" * 400}, "second": {"instructions": ""}}
    interpreted = Interpreted("", "", Chat(user="question", answer="answer"), Sampling(max_tokens=300))
    identity = Identity("quiz", "interpreted", "0" * 64, "default", {}, interpreted=interpreted)
    found = appetite_of(Release(Path("quiz"), identity, state=state))
    assert (found.calls, found.completion) == (2, 600) and found.prompt > 100


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({}, 1024),
        ({"max_tokens": 10}, 10),
        ({"max_completion_tokens": 7, "max_tokens": 10}, 10),
        ({"max_tokens": 10, "n_predict": 500}, 500),
        ({"max_tokens": 10, "prompt": ["a", "b", "c"], "n": 2}, 60),
        ({"max_tokens": 10, "prompt": [[1, 2], [3]]}, 20),
        ({"max_tokens": 10, "prompt": [1, 2, 3]}, 10),
        ({"max_tokens": 10, "n": 3}, 30),
        ({"max_tokens": "ten", "n": -1}, 1024),
        ({"max_tokens": 2**70}, 1024),
    ],
)
def test_a_raw_request_says_itself_what_may_be_written(body: dict[str, Any], tokens: int) -> None:
    assert most_written(body) == tokens
