"""Tests for gateway/raw_errand.py: an engine's own model, asked as if the gateway were the engine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
from openai import APIError, BadRequestError, InternalServerError, NotFoundError, OpenAI, RateLimitError

from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.upstream import Script, Upstream, running_upstream

CHAT: Any = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 40}
PRICE = "usd_per_million_input = 1.0\nusd_per_million_output = 10.0"


@pytest.fixture(scope="module")
def _served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, Upstream]]:
    folder = tmp_path_factory.mktemp("exposing")
    with running_upstream() as upstream:
        upstream.models = ["tiny", "Lab/Qwen3-0.6B", "hidden"]
        put_release(folder / "releases", make_plan("quiz"), fingerprint_of(upstream.url))
        expose = 'expose = ["tiny", "qwen3-0.6b"]'
        with running_gateway(settings_for(folder, upstream.url, price=PRICE, top=expose)) as gateway:
            yield gateway, upstream


@pytest.fixture
def upstream(_served: tuple[RunningGateway, Upstream]) -> Upstream:
    _served[1].reset()
    return _served[1]


@pytest.fixture
def gateway(_served: tuple[RunningGateway, Upstream], upstream: Upstream) -> RunningGateway:
    """A gateway with the release `quiz` that exposes `tiny` and `qwen3-0.6b`, but not `hidden`."""
    return _served[0]


def test_a_chat_goes_to_the_model_as_it_is(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script("Hello there.")
    tools: Any = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    extra = {"chat_template_kwargs": {"enable_thinking": False}}
    reply = client.chat.completions.create(model="tiny", tools=tools, n=2, extra_body=extra, **CHAT)
    assert reply.choices[0].message.content == "Hello there."
    assert upstream.asked[-1] == {"model": "tiny", "tools": tools, "n": 2, **extra, **CHAT}


def test_only_the_name_of_the_model_is_changed_where_the_engine_calls_it_otherwise(
    client: OpenAI, upstream: Upstream
) -> None:
    client.chat.completions.create(model="qwen3-0.6b", **CHAT)
    assert upstream.asked[-1] == {"model": "Lab/Qwen3-0.6B", **CHAT}


def test_a_body_that_needs_no_change_is_not_even_written_anew(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    body = b'{"model":  "tiny", "prompt": "2 +", "temperature": 1e0}'
    assert httpx.post(f"{gateway.url}/v1/completions", content=body).status_code == 200
    assert upstream.raw == [("/v1/completions", body)]


def test_a_chat_is_streamed_with_all_that_the_engine_sends(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script("Hello there, you.")
    options: Any = {"include_usage": True}
    with client.chat.completions.create(model="tiny", stream=True, stream_options=options, **CHAT) as chunks:
        seen = list(chunks)
    assert "".join(c.choices[0].delta.content or "" for c in seen if c.choices) == "Hello there, you."
    assert seen[-1].usage is not None and seen[-1].usage.completion_tokens == 3


def test_completions_are_passed_on(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script("four and five")
    reply = client.completions.create(model="tiny", prompt="2 + 2 =")
    assert reply.choices[0].text == "four and five"
    pieces = client.completions.create(model="tiny", prompt="2 + 2 =", stream=True)
    assert [piece.choices[0].text for piece in pieces] == ["four", "and", "five"]


def test_embeddings_are_passed_on(client: OpenAI, upstream: Upstream) -> None:
    reply = client.embeddings.create(model="qwen3-0.6b", input="hello", encoding_format="float")
    assert reply.data[0].embedding == [0.25, -0.5]
    assert orjson.loads(upstream.raw[-1][1])["model"] == "Lab/Qwen3-0.6B"


def test_what_a_client_sends_beside_the_body_stays_here(client: OpenAI, upstream: Upstream) -> None:
    client.completions.create(model="tiny", prompt="x", extra_headers={"x-secret": "canary"})
    sent = upstream.headers[-1]
    assert "client-key" not in str(sent) and "canary" not in str(sent)


@pytest.mark.parametrize("model", ["hidden", "Lab/Qwen3-0.6B", "nope"])
def test_a_model_that_is_not_exposed_is_unknown_everywhere(
    client: OpenAI, upstream: Upstream, model: str
) -> None:
    told = []
    for ask in (
        lambda: client.chat.completions.create(model=model, **CHAT),
        lambda: client.completions.create(model=model, prompt="x"),
        lambda: client.embeddings.create(model=model, input="x"),
    ):
        with pytest.raises(NotFoundError) as caught:
            ask()
        told.append(caught.value)
    assert {(error.code, error.param, error.type) for error in told} == {
        ("model_not_found", "model", "invalid_request_error")
    }
    assert {error.message.replace(repr(model), "") for error in told} == {
        told[0].message.replace(repr(model), "")
    }
    assert upstream.asked == [] and upstream.raw == []


def test_a_program_is_no_model_for_completions(client: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="asked at /v1/chat/completions") as caught:
        client.completions.create(model="quiz", prompt="x")
    assert caught.value.code == "model_not_found"


def test_an_exposed_model_gives_no_responses(client: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="asked at /v1/chat/completions") as caught:
        client.responses.create(model="tiny", input="x")
    assert caught.value.code == "model_not_found"


def test_programs_answer_beside_exposed_models(client: OpenAI) -> None:
    reply = client.chat.completions.create(model="quiz", messages=CHAT["messages"])
    assert reply.choices[0].message.content == "forty-two"


@pytest.mark.parametrize("body", [b"no json", b"[]", b"{}", b'{"model": ["tiny"]}', b'{"model": 1}'])
@pytest.mark.parametrize("path", ["chat/completions", "completions", "embeddings"])
def test_a_body_without_a_model_is_refused(gateway: RunningGateway, path: str, body: bytes) -> None:
    reply = httpx.post(f"{gateway.url}/v1/{path}", content=body)
    assert reply.status_code == 400 and reply.json()["error"]["type"] == "invalid_request_error"


def test_what_the_engine_refuses_is_told_in_its_own_words(client: OpenAI, upstream: Upstream) -> None:
    error = {"error": {"message": "temperature must be non-negative", "code": 400}}
    upstream.script = Script(status=400, error=error)
    with pytest.raises(BadRequestError, match="temperature must be non-negative") as caught:
        client.chat.completions.create(model="tiny", **CHAT)
    assert caught.value.code == "engine_refused_request" and upstream.url not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (429, RateLimitError, "rate_limited"),
        (401, InternalServerError, "engine_credential_refused"),
        (404, InternalServerError, "engine_refused_request"),
        (500, InternalServerError, "engine_failed"),
    ],
)
def test_other_errors_are_those_of_every_engine(
    client: OpenAI, upstream: Upstream, status: int, kind: type[APIError], code: str
) -> None:
    upstream.script = Script(status=status, error={"error": {"message": f"see {upstream.url}"}})
    with pytest.raises(kind) as caught:
        client.embeddings.create(model="tiny", input="x")
    assert caught.value.code == code and upstream.url not in str(caught.value)


def test_an_error_inside_a_stream_is_the_gateways_own(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script("Hello there, you.", trouble="error_midway", piece=3)
    seen = []
    with pytest.raises(APIError) as caught:
        for chunk in client.chat.completions.create(model="tiny", stream=True, **CHAT):
            seen.append(chunk.choices[0].delta.content)
    assert "".join(filter(None, seen)).startswith("Hello") and caught.value.code == "engine_failed"


@pytest.mark.parametrize("trouble", ["stall", "stall_midway"])
def test_a_client_that_leaves_stops_the_engine(
    gateway: RunningGateway, upstream: Upstream, trouble: Any
) -> None:
    upstream.script = Script(trouble=trouble, piece=2)
    body = orjson.dumps({"model": "tiny", "stream": trouble == "stall_midway", **CHAT})
    address = httpx.URL(gateway.url)
    with socket.create_connection((address.host, address.port or 80), timeout=10) as connection:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n"
        connection.sendall(head % len(body) + body)
        assert upstream.stalled.wait(10)
    assert upstream.abandoned.wait(5)
    labels = {"model": "tiny", "release": "", "status": "499"}
    wait_until(lambda: gateway.metric("gateway_requests_total", **labels) >= 1)


def test_requests_tokens_and_cost_are_counted_under_the_models_name(
    client: OpenAI, gateway: RunningGateway, upstream: Upstream
) -> None:
    labels = {"model": "qwen3-0.6b", "release": ""}
    tokens = {**labels, "direction": "input", "cached": "false"}
    before = [
        gateway.metric("gateway_cost_usd_total", **labels),
        gateway.metric("gateway_tokens_total", **tokens),
    ]
    raw = client.completions.with_raw_response.create(model="qwen3-0.6b", prompt="x")
    assert float(raw.headers["x-smallforge-cost-usd"]) == pytest.approx(35e-6)
    assert float(raw.headers["x-smallforge-overhead-ms"]) < 1000 and raw.headers["x-request-id"]
    wait_until(lambda: gateway.metric("gateway_tokens_total", **tokens) == before[1] + 5)
    assert gateway.metric("gateway_cost_usd_total", **labels) == pytest.approx(before[0] + 35e-6)


def test_a_stream_is_counted_whose_client_asked_for_no_counts_and_gets_none(
    client: OpenAI, gateway: RunningGateway, upstream: Upstream
) -> None:
    upstream.script = Script("four and five")
    before = gateway.metric("gateway_cost_usd_total", model="tiny", release="")
    chunks = list(client.completions.create(model="tiny", prompt="x", stream=True))
    assert len(chunks) == 3 and all(chunk.choices and chunk.usage is None for chunk in chunks)
    now = pytest.approx(before + 35e-6)
    wait_until(lambda: gateway.metric("gateway_cost_usd_total", model="tiny", release="") == now)


def test_a_stream_that_the_engine_does_not_count_has_no_known_cost(
    client: OpenAI, gateway: RunningGateway, upstream: Upstream
) -> None:
    upstream.script = Script(trouble="no_usage")
    before = gateway.metric("gateway_cost_unknown_total", model="tiny", release="")
    list(client.completions.create(model="tiny", prompt="x", stream=True))
    wait_until(lambda: gateway.metric("gateway_cost_unknown_total", model="tiny", release="") == before + 1)


def test_exposed_models_are_listed_with_what_is_known_of_them(client: OpenAI) -> None:
    listed: Any = {model.id: model for model in client.models.list()}
    assert {"tiny", "qwen3-0.6b", "quiz"} <= listed.keys() and "hidden" not in listed
    found: Any = client.models.retrieve("tiny")
    assert (found.object, found.owned_by) == ("model", "engine")
    assert found.smallforge == {
        "kind": "exposed",
        "available": True,
        "reason": None,
        "context_tokens": 8192,
        "usd_per_million_input": 1.0,
        "usd_per_million_output": 10.0,
    }


def test_exposed_models_are_in_lm_studios_list_too(gateway: RunningGateway) -> None:
    entry = httpx.get(f"{gateway.url}/api/v0/models/qwen3-0.6b").json()
    assert (entry["publisher"], entry["state"], entry["max_context_length"]) == ("engine", "loaded", 8192)
    listed = httpx.get(f"{gateway.url}/api/v0/models").json()["data"]
    assert {"tiny", "qwen3-0.6b", "quiz"} <= {model["id"] for model in listed}
