"""Traced requests: what each step of a program took, and what was said where the operator lets it be seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIError, APIStatusError, OpenAI

from programs.checks import must_mention
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
)
from tests.gateway.upstream import REPLY, Script, Upstream

ASK: Any = [{"role": "user", "content": "What is six times seven?"}]
TRACE = {"x-smallforge-trace": "1"}
WRONG = REPLY.replace("forty-two", "unspeakable")


@pytest.fixture(scope="module")
def _open(_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("open")
    plan = make_plan("checked", checks=(must_mention("answer", "forty-two"),))
    put_release(folder / "releases", plan, fingerprint_of(_upstream.url))
    with running_gateway(settings_for(folder, _upstream.url, gateway="trace = true")) as gateway:
        yield gateway


@pytest.fixture
def shown(_open: RunningGateway, upstream: Upstream) -> Iterator[OpenAI]:
    """A client of a gateway whose operator lets prompts be seen."""
    with OpenAI(base_url=f"{_open.url}/v1", api_key="k", max_retries=0, default_headers=TRACE) as client:
        yield client


def _trace(reply: Any) -> Any:
    return reply.model_dump()["smallforge"]


def test_a_traced_reply_tells_what_each_step_took(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(WRONG, then=Script(REPLY))
    raw = client.chat.completions.with_raw_response.create(model="checked", messages=ASK, extra_headers=TRACE)
    reply: Any = raw.parse()
    steps = _trace(reply)["steps"]
    assert [step["finish_reason"] for step in steps] == ["stop", "stop"]
    assert all(0 < step["seconds"] < 10 for step in steps)
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert sum(step["usage"][name] for step in steps) == getattr(reply.usage, name)
    cost = sum(step["cost_usd"] for step in steps)
    assert cost == pytest.approx(_trace(reply)["cost_usd"])
    assert cost == pytest.approx(float(raw.headers["x-smallforge-cost-usd"]), abs=1e-11)


def test_prompts_and_raw_replies_stay_the_operators(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(WRONG, then=Script(REPLY))
    raw = client.chat.completions.with_raw_response.create(model="checked", messages=ASK, extra_headers=TRACE)
    assert "unspeakable" not in raw.text and "Answer the question." not in raw.text


def test_an_operator_may_let_them_be_seen(shown: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(WRONG, then=Script(REPLY))
    steps = _trace(shown.chat.completions.create(model="checked", messages=ASK))["steps"]
    assert [step["reply"] for step in steps] == [WRONG, REPLY]
    assert [step["messages"] for step in steps] == [body["messages"] for body in upstream.asked]
    assert steps[0]["messages"][0] == {"role": "system", "content": "Answer the question."}


def test_the_steps_of_several_answers_are_told_apart(client: OpenAI) -> None:
    reply = client.chat.completions.create(model="quiz", messages=ASK, n=3, extra_headers=TRACE)
    assert sorted(step["choice"] for step in _trace(reply)["steps"]) == [0, 1, 2]


@pytest.mark.parametrize("options", [None, {"include_usage": True}], ids=["plain", "usage"])
def test_a_traced_stream_ends_with_its_steps(client: OpenAI, options: Any) -> None:
    more: Any = {} if options is None else {"stream_options": options}
    stream = client.chat.completions.create(
        model="quiz", messages=ASK, stream=True, extra_headers=TRACE, **more
    )
    chunks = list(stream)
    (step,) = _trace(chunks[-1])["steps"]
    assert chunks[-1].choices == [] and chunks[-1].usage is not None
    assert step["usage"]["completion_tokens"] == chunks[-1].usage.completion_tokens
    assert step["cost_usd"] == pytest.approx(_trace(chunks[-1])["cost_usd"])


def test_a_traced_stream_may_show_its_raw_reply(shown: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(REPLY, piece=3)
    chunks = list(shown.chat.completions.create(model="checked", messages=ASK, stream=True))
    assert [step["reply"] for step in _trace(chunks[-1])["steps"]] == [REPLY]


def test_a_failure_tells_its_steps_beside_the_error(shown: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script("no fields at all")
    with pytest.raises(APIStatusError) as caught:
        shown.chat.completions.create(model="checked", messages=ASK)
    body = caught.value.response.json()
    assert body["error"]["code"] == "program_output_invalid"
    assert [step["reply"] for step in body["smallforge"]["steps"]] == ["no fields at all"]


def test_an_engines_failure_is_a_step_without_counts(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(status=500)
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(model="quiz", messages=ASK, extra_headers=TRACE)
    (step,) = caught.value.response.json()["smallforge"]["steps"]
    assert (step["usage"], step["finish_reason"]) == (None, None) and step["seconds"] > 0


def test_a_stream_that_fails_midway_tells_its_steps(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(trouble="error_midway", piece=1)
    stream = client.chat.completions.create(model="quiz", messages=ASK, stream=True, extra_headers=TRACE)
    with pytest.raises(APIError) as caught:
        list(stream)
    assert caught.value.type == "server_error"


@pytest.mark.parametrize("headers", [{}, {"x-smallforge-trace": "0"}])
def test_without_the_header_nothing_is_traced(gateway: RunningGateway, headers: dict[str, str]) -> None:
    body = {"model": "quiz", "messages": ASK}
    reply = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers)
    assert "smallforge" not in reply.json()


def test_another_value_of_the_header_is_refused(gateway: RunningGateway) -> None:
    body = {"model": "quiz", "messages": ASK}
    headers = {"x-smallforge-trace": "yes"}
    reply = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers)
    assert reply.status_code == 400 and "'x-smallforge-trace' must be 1" in reply.json()["error"]["message"]


def test_the_flag_and_the_setting_are_off_unless_given(tmp_path: Path) -> None:
    assert not settings_for(tmp_path, "http://127.0.0.1:1").gateway.trace
    assert settings_for(tmp_path, "http://127.0.0.1:1", gateway="trace = true").gateway.trace
