"""Tests for gateway/constraint.py; tests/integration/test_constraint.py holds a real engine to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from programs.ensemble import Ensemble
from programs.plan import Message
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
)
from tests.gateway.upstream import REPLY, Upstream

ASK: Any = [{"role": "user", "content": "What is six times seven?"}]


@pytest.fixture(scope="module", params=["vllm", "openai"])
def _held(
    request: pytest.FixtureRequest, _upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, RunningGateway]]:
    folder = tmp_path_factory.mktemp("held")
    student = fingerprint_of(_upstream.url)
    put_release(folder / "releases", make_plan("quiz"), student)
    members = tuple(replace(make_plan("voting"), prefix=(Message("system", name),)) for name in ("a", "b"))
    put_release(folder / "releases", Ensemble(members, "majority"), student)
    price = f'usd_per_hour = 0.36\nkind = "{request.param}"'
    settings = settings_for(folder, _upstream.url, price=price, gateway="constrain = true")
    with running_gateway(settings) as gateway:
        yield request.param, gateway


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
@pytest.mark.parametrize("model", ["quiz", "voting"])
def test_vllm_is_held_to_the_format_and_others_are_not_asked_to(
    _held: tuple[str, RunningGateway], upstream: Upstream, model: str, stream: bool
) -> None:
    kind, gateway = _held
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client:
        reply: Any = client.chat.completions.create(model=model, messages=ASK, stream=stream)
        assert not stream or list(reply)
    for body in upstream.asked:
        if kind == "vllm":
            pattern = body["structured_outputs"]["regex"]
            assert re.fullmatch(pattern, REPLY) and not re.fullmatch(pattern, "forty-two")
        else:
            assert "structured_outputs" not in body


def test_nothing_is_held_unless_the_operator_says_so(client: OpenAI, upstream: Upstream) -> None:
    client.chat.completions.create(model="quiz", messages=ASK)
    assert "structured_outputs" not in upstream.asked[0]


def test_the_setting_is_off_unless_given(tmp_path: Path) -> None:
    assert not settings_for(tmp_path, "http://127.0.0.1:1").gateway.constrain
