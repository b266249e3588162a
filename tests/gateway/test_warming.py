"""Tests for gateway/warming.py; tests/integration/test_warming.py looks into a real prefix cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from gateway.warming import constant_prompts
from programs.aliases import move_alias
from programs.ensemble import Ensemble, EnsembleExecutor
from programs.execution import PlanExecutor
from programs.plan import Message, render
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.upstream import Upstream, running_upstream

PREFIX = (
    Message("system", "Answer."),
    Message("user", "[[ ## question ## ]]\n1 + 1?"),
    Message("assistant", "2"),
)
ASK: Any = [{"role": "user", "content": "What is six times seven?"}]
HEAD = {"role": "user", "content": "[[ ## question ## ]]\n"}


@pytest.fixture
def student() -> Iterator[Upstream]:
    with running_upstream() as upstream:
        yield upstream


def warmed(student: Upstream) -> list[dict[str, Any]]:
    return [body for body in student.requests if body["messages"][-1] == HEAD]


def health(gateway: RunningGateway) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{gateway.url}/readyz").json()
    return found


def test_a_champion_is_read_before_anyone_asks_and_the_next_one_when_it_takes_over(
    tmp_path: Path, student: Upstream
) -> None:
    releases, taken = tmp_path / "releases", fingerprint_of(student.url)
    put_release(releases, make_plan(prefix=PREFIX), taken)
    second = put_release(releases, make_plan(prompt="Answer with care."), taken, alias=None)
    with running_gateway(settings_for(tmp_path, student.url, warm=True)):
        wait_until(lambda: len(warmed(student)) == 1)
        assert warmed(student)[0]["messages"] == [*(message.as_dict() for message in PREFIX), HEAD]
        move_alias(releases / "quiz", "champion", second, "for a test")
        wait_until(lambda: len(warmed(student)) == 2)
    assert warmed(student)[1]["messages"][0]["content"] == "Answer with care."


def test_a_champion_is_read_again_when_its_engine_came_back(tmp_path: Path) -> None:
    with ExitStack() as running:
        with running_upstream() as student:
            put_release(tmp_path / "releases", make_plan(prefix=PREFIX), fingerprint_of(student.url))
            settings = settings_for(tmp_path, student.url, warm=True)
            gateway = running.enter_context(running_gateway(settings, recheck=0.1))
            wait_until(lambda: len(warmed(student)) == 1)
        wait_until(lambda: bool(health(gateway)["students"]))
        again = running.enter_context(running_upstream(int(student.url.rpartition(":")[2])))
        wait_until(lambda: len(warmed(again)) == 1)


@pytest.mark.parametrize(
    "price",
    ['kind = "openai"', "usd_per_million_input = 1.0\nusd_per_million_output = 2.0"],
    ids=["no vLLM", "paid by the token"],
)
def test_nobody_is_made_to_read_who_gains_nothing_or_sends_a_bill(
    tmp_path: Path, student: Upstream, price: str
) -> None:
    put_release(tmp_path / "releases", make_plan(prefix=PREFIX), fingerprint_of(student.url))
    with running_gateway(settings_for(tmp_path, student.url, price=price, warm=True)) as gateway:
        wait_until(lambda: health(gateway)["status"] == "ready")
        OpenAI(base_url=f"{gateway.url}/v1", api_key="k").chat.completions.create(model="quiz", messages=ASK)
    assert len(student.asked) == 1 and warmed(student) == []


def test_a_prompt_begins_with_what_was_read_ahead() -> None:
    plan = make_plan(prefix=PREFIX)
    (ahead,) = constant_prompts(PlanExecutor(plan))
    asked = [message.as_dict() for message in render(plan, {"question": "2 + 2?"})]
    assert asked[:-1] == ahead[:-1]
    assert asked[-1]["content"].startswith(ahead[-1]["content"])


def test_each_member_of_an_ensemble_is_read() -> None:
    plan = make_plan(prefix=PREFIX)
    other = replace(plan, prefix=PREFIX[:1])
    executor = EnsembleExecutor(Ensemble((plan, other), "majority"))
    assert [len(prompt) for prompt in constant_prompts(executor)] == [4, 2]
