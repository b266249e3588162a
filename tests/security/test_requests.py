"""T10 to T13, T15, T17 to T22: what a request leaves behind, takes along and may ask for."""

from __future__ import annotations

import asyncio
import pickle
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from programs.plan import Field
from tests.gateway.access.issuing import issued, where_keys_are
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.test_disconnect import _ask_and_leave
from tests.gateway.upstream import Script, Upstream
from tests.security.test_hostile_releases import Ran

ASK: Any = {"model": "quiz", "messages": [{"role": "user", "content": "q"}]}


def post(gateway: RunningGateway, **body: Any) -> httpx.Response:
    path = "responses" if "input" in body else "chat/completions"
    return httpx.post(f"{gateway.url}/v1/{path}", json=body, timeout=20)


@pytest.mark.parametrize("poison", ["pickle", "code"])
def test_t10_a_kept_answer_that_others_wrote_is_made_anew_and_never_loaded(
    upstream: Upstream, tmp_path: Path, poison: str
) -> None:
    put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    kept, ran = tmp_path / "cache.db", tmp_path / "ran"
    cache = f'[gateway.cache]\nstore = "sqlite"\nfile = "{kept}"'
    forged = b'{"format": 1, "outputs": {"answer": "x"}, "usd": 0, "code": ""}'
    with running_gateway(settings_for(tmp_path, upstream.url, gateway=cache)) as gateway:
        assert post(gateway, **ASK).headers["x-smallforge-cache"] == "miss"
        with closing(sqlite3.connect(kept, timeout=10)) as connection, connection:
            # An answer is written down while its request goes on.
            wait_until(lambda: connection.execute("SELECT count(*) FROM answers").fetchone() == (1,))
            assert post(gateway, **ASK).headers["x-smallforge-cache"] == "hit"
            value = pickle.dumps(Ran(ran)) if poison == "pickle" else forged
            connection.execute("UPDATE answers SET value = ?", (value,))
        assert post(gateway, **ASK).headers["x-smallforge-cache"] == "miss"
    assert not ran.exists()


SENT = {
    "Authorization": "Bearer canary-authorization",
    "Cookie": "session=canary-cookie",
    "X-Api-Key": "canary-x-api-key",
    "Api-Key": "canary-api-key",
    "Proxy-Authorization": "Basic canary-proxy",
    "X-Forwarded-For": "canary-forwarded",
    "OpenAI-Organization": "canary-organization",
    "User-Agent": "canary-agent",
    "X-Request-Id": "canary-request",
    "Connection": "keep-alive, x-canary-hop",
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_t13_nothing_that_a_client_sends_beside_the_body_reaches_the_engine(
    gateway: RunningGateway, upstream: Upstream, path: str, stream: bool
) -> None:
    body = {"model": "quiz", "stream": stream, "input": "q", **({} if path == "responses" else ASK)}
    assert httpx.post(f"{gateway.url}/v1/{path}", json=body, headers=SENT).status_code == 200
    (headers,) = upstream.headers
    assert "canary" not in str(headers).lower()
    assert {name.lower() for name in headers} == {
        "host", "content-type", "accept", "accept-encoding", "user-agent", "content-length",
    }  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {"n": 10**9}, {"max_tokens": 10**18}, {"max_completion_tokens": 2**31}, {"stop": ["x"] * 17},
        {"best_of": 10**6}, {"chat_template": "{% for x in range(10**9) %}{% endfor %}"},
        {"chat_template_kwargs": {"tokenize": True}}, {"kv_transfer_params": {"remote_host": "x"}},
        {"logprobs": True}, {"prompt_logprobs": 10**6}, {"structured_outputs": {"regex": "a*"}},
        {"min_tokens": 10**6}, {"ignore_eos": True}, {"logit_bias": {str(n): 1 for n in range(1_000)}},
        {"messages": [{"role": "user", "content": "q"}] * 2_001},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"$ref": "#"}}}},
        {"temperature": 1e308}, {"seed": 2**70},
    ],
    ids=lambda more: next(iter(more)),
)  # fmt: skip
def test_t15_what_would_take_an_engine_for_itself_is_refused(
    gateway: RunningGateway, upstream: Upstream, more: dict[str, Any]
) -> None:
    reply = post(gateway, **{**ASK, **more})
    assert reply.status_code in (200, 400) and (reply.status_code == 400 or "best_of" in more)
    asked = [body for body in upstream.asked if set(body) & set(more) - {"messages"}]
    assert asked == []


@pytest.mark.parametrize(
    "more",
    [
        {"chat_template": "{{ x }}"},
        {"chat_template_kwargs": {"tokenize": True}},
        {"kv_transfer_params": {"remote_host": "x"}},
    ],
)
def test_t15_an_engines_own_model_is_not_a_way_into_the_engine(
    upstream: Upstream, tmp_path: Path, more: dict[str, Any]
) -> None:
    settings = settings_for(tmp_path, upstream.url, top='expose = ["tiny"]')
    with running_gateway(settings) as gateway:
        reply = post(gateway, **{**ASK, "model": "tiny", **more})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "unsupported_parameter")
    assert upstream.asked == []


def test_t15_a_text_for_a_typed_input_keeps_nobody_waiting(upstream: Upstream, tmp_path: Path) -> None:
    """Mending broken JSON of a megabyte would take hours, in which nobody else is answered."""
    typed = make_plan(inputs=(Field("question", "list[str]"),))
    put_release(tmp_path / "releases", typed, fingerprint_of(upstream.url))
    with running_gateway(settings_for(tmp_path, upstream.url)) as gateway:
        reply = post(gateway, model="quiz", messages=[{"role": "user", "content": "{a: b, " * 150_000}])
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "messages")


def test_t17_clients_that_leave_close_nobody_elses_connection(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    upstream.questions["slow"] = Script(seconds=0.4)
    slow = {**ASK, "messages": [{"role": "user", "content": "slow"}]}

    async def crowd() -> list[int]:
        async with httpx.AsyncClient(base_url=f"{gateway.url}/v1", timeout=20) as client:
            staying = [asyncio.create_task(client.post("/chat/completions", json=slow)) for _ in range(10)]
            leaving = [asyncio.create_task(client.post("/chat/completions", json=slow)) for _ in range(20)]
            await asyncio.sleep(0.2)
            for task in leaving:
                task.cancel()
            replies = await asyncio.gather(*staying)
            return [reply.status_code for reply in replies]

    assert asyncio.run(crowd()) == [200] * 10


def test_t18_what_was_not_set_is_not_sent(gateway: RunningGateway, upstream: Upstream) -> None:
    nulls = dict.fromkeys(
        ["temperature", "top_p", "stop", "seed", "tools", "n", "max_tokens", "user", "logprobs"]
    )
    assert post(gateway, **ASK, **nulls).status_code == 200
    assert post(gateway, model="quiz", input="q", temperature=None, tools=None).status_code == 200
    for body in upstream.asked:
        assert set(body) == {"model", "messages", "temperature", "max_tokens"} and None not in body.values()


@pytest.mark.parametrize("stream", [False, True])
def test_t19_a_price_nobody_told_is_never_nothing(upstream: Upstream, tmp_path: Path, stream: bool) -> None:
    version = put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    with running_gateway(settings_for(tmp_path, upstream.url, price="")) as gateway:
        reply = post(
            gateway, **ASK, stream=stream, **({"stream_options": {"include_usage": True}} if stream else {})
        )
        assert "x-smallforge-cost-usd" not in reply.headers and '"cost_usd":0' not in reply.text
        wait_until(lambda: gateway.metric("gateway_cost_unknown_total", model="quiz", release=version) == 1)
        assert "gateway_cost_usd_total{" not in gateway.metrics.text()


def test_t20_a_stream_that_is_left_is_not_free(upstream: Upstream, tmp_path: Path) -> None:
    version = put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    price = "usd_per_million_input = 1.0\nusd_per_million_output = 1.0"
    upstream.script = Script(trouble="stall_midway", piece=2)
    with running_gateway(settings_for(tmp_path, upstream.url, price=price)) as gateway:
        _ask_and_leave(gateway, upstream, stream=True, read_first=True)
        wait_until(lambda: gateway.metric("gateway_cost_unknown_total", model="quiz", release=version) == 1)
    assert upstream.asked[-1]["stream_options"] == {"include_usage": True}


def test_t20_counts_that_an_engine_makes_up_break_nothing(upstream: Upstream, tmp_path: Path) -> None:
    """They must neither earn money nor keep a request from being counted."""
    version = put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    price = "usd_per_million_input = 1.0\nusd_per_million_output = 1.0"
    made_up = {
        "prompt_tokens": -7,
        "completion_tokens": 2**63,
        "prompt_tokens_details": {"cached_tokens": 99},
    }
    upstream.script = Script(usage=made_up)
    with running_gateway(settings_for(tmp_path, upstream.url, price=price)) as gateway:
        assert post(gateway, **ASK).status_code == 200
        wait_until(lambda: gateway.metric("gateway_cost_unknown_total", model="quiz", release=version) == 1)
        assert gateway.metric("gateway_in_flight_requests") == 0


def test_t21_strangers_make_no_new_series_and_nothing_that_grows(locked_gateway: RunningGateway) -> None:
    def ask(number: int, client: httpx.Client) -> None:
        headers = {"authorization": f"Bearer sf-{number:012x}-{'A' * 43}", "x-request-id": str(number)}
        client.post("/v1/chat/completions", json={**ASK, "model": f"m{number}"}, headers=headers)
        client.request("PURGE", f"/p{number}", headers={f"x-{number}": "1"})

    with httpx.Client(base_url=locked_gateway.url) as client:
        ask(0, client)
        refused = {"model": "unknown", "release": "", "status": "401"}
        wait_until(lambda: locked_gateway.metric("gateway_requests_total", **refused) > 0)
        before = series(locked_gateway)
        for number in range(1, 60):
            ask(number, client)
    new = series(locked_gateway) - before
    assert len(new) < 10 and not [line for line in new if re.search(r"m\d+\"|p\d+|sf-|PURGE", line)]


def series(gateway: RunningGateway) -> set[str]:
    lines = gateway.metrics.text().splitlines()
    return {line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")}


@pytest.fixture
def locked_gateway(locked: Any) -> RunningGateway:
    gateway: RunningGateway = locked.gateway
    return gateway


def test_t22_no_request_sees_anything_of_another(gateway: RunningGateway, upstream: Upstream) -> None:
    """Forty at once, streamed and whole, by two programs: each has the answer to its own question."""
    for number in range(40):
        text = f"[[ ## reasoning ## ]]\nr{number}\n\n[[ ## answer ## ]]\nanswer-{number}-end"
        upstream.questions[f"question-{number}-end"] = Script(text=text, piece=3, seconds=0.01 * (number % 7))

    async def one(client: AsyncOpenAI, number: int) -> str:
        messages: Any = [{"role": "user", "content": f"question-{number}-end"}]
        if number % 2:
            whole = await client.chat.completions.create(model="quiz", messages=messages)
            return whole.choices[0].message.content or ""
        stream = await client.chat.completions.create(model="quiz", messages=messages, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    async def all_at_once() -> list[str]:
        async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="x", max_retries=0) as client:
            return await asyncio.gather(*(one(client, number) for number in range(40)))

    assert asyncio.run(all_at_once()) == [f"answer-{number}-end" for number in range(40)]


def test_t04_t11_kept_answers_are_of_one_key(upstream: Upstream, tmp_path: Path) -> None:
    put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    settings = settings_for(
        tmp_path, upstream.url, gateway=f'{where_keys_are(tmp_path)}\n[gateway.cache]\nstore = "memory"'
    )
    keys = [issued(tmp_path, name) for name in ("first", "second")]
    with running_gateway(settings) as gateway:
        replies = [
            httpx.post(
                f"{gateway.url}/v1/chat/completions", json=ASK, headers={"authorization": f"Bearer {key}"}
            )
            for key in (keys[0], keys[1], keys[0])
        ]
    assert [reply.headers["x-smallforge-cache"] for reply in replies] == ["miss", "miss", "hit"]


@pytest.mark.parametrize("kind", ["vllm", "openai"])
def test_t11_callers_are_kept_apart_in_the_prefix_cache_where_the_operator_wants_it(
    upstream: Upstream, tmp_path: Path, kind: str
) -> None:
    put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    mine = f"{where_keys_are(tmp_path)}\ncache_salt = true"
    price = f'usd_per_hour = 0.36\nkind = "{kind}"'
    settings = settings_for(tmp_path, upstream.url, top='expose = ["tiny"]', price=price, gateway=mine)
    keys = [issued(tmp_path, name) for name in ("first", "second")]
    with running_gateway(settings) as gateway, httpx.Client(base_url=gateway.url) as client:
        for model in ("quiz", "tiny"):
            for key in (keys[0], keys[1], keys[0]):
                body = {**ASK, "model": model, "cache_salt": "another's"}
                headers = {"authorization": f"Bearer {key}"}
                assert client.post("/v1/chat/completions", json=body, headers=headers).status_code == 200
    salts = [body.get("cache_salt") for body in upstream.asked]
    if kind == "vllm":
        assert salts[0] == salts[2] != salts[1] and salts[:3] == salts[3:] and "another's" not in salts
    else:
        assert salts == [None] * 3 + ["another's"] * 3
