"""Tests for gateway/errors.py: what clients are told when something fails."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from openai import APIStatusError, BadRequestError, InternalServerError, OpenAI, RateLimitError

from engine import errors as engine_errors
from gateway.errors import UPSTREAM, GatewayError, as_gateway_error
from programs.errors import InputInvalid, RetrievalFailed
from programs.execution import RunFailed
from tests.gateway.serving import RunningGateway
from tests.gateway.upstream import REPLY, Script, Upstream

ASK: Any = [{"role": "user", "content": "What is six times seven?"}]


def _failed(client: OpenAI) -> APIStatusError:
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(model="quiz", messages=ASK)
    return caught.value


def _engine_errors() -> set[type[engine_errors.EngineError]]:
    found = {engine_errors.EngineError}
    while more := {child for kind in found for child in kind.__subclasses__()} - found:
        found |= more
    return found


def test_every_error_of_the_engine_has_an_answer() -> None:
    assert {kind for kind in _engine_errors() if kind.__module__ == engine_errors.__name__} == UPSTREAM.keys()


def test_a_rate_limit_is_429_with_the_engines_own_delay(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(status=429, headers={"Retry-After": "7"})
    error = _failed(client)
    assert isinstance(error, RateLimitError)
    assert error.response.headers["retry-after"] == "7"
    assert "x-should-retry" not in error.response.headers


def test_a_rate_limit_without_a_delay_still_gets_one(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(status=429)
    assert int(_failed(client).response.headers["retry-after"]) >= 1


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_failing_engine_is_502_and_may_be_asked_again(
    client: OpenAI, upstream: Upstream, status: int
) -> None:
    upstream.script = Script(status=status)
    error = _failed(client)
    assert (error.status_code, error.code) == (502, "engine_failed")
    assert "x-should-retry" not in error.response.headers


@pytest.mark.parametrize("status", [401, 403])
def test_our_refused_credential_is_502_and_never_401(client: OpenAI, upstream: Upstream, status: int) -> None:
    upstream.script = Script(status=status, error={"error": {"message": "bad key sk-secret-canary"}})
    error = _failed(client)
    assert (error.status_code, error.code) == (502, "engine_credential_refused")
    assert error.response.headers["x-should-retry"] == "false"
    assert "canary" not in error.response.text


def test_a_prompt_that_does_not_fit_is_openais_own_400(client: OpenAI, upstream: Upstream) -> None:
    message = "This model's maximum context length is 8192 tokens, you asked for 9000."
    upstream.script = Script(status=400, error={"error": {"message": message, "type": "BadRequestError"}})
    error = _failed(client)
    assert isinstance(error, BadRequestError)
    assert (error.code, error.type) == ("context_length_exceeded", "invalid_request_error")


def test_a_request_that_the_engine_refuses_is_400(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(status=422, error={"error": {"message": "no such sampling"}})
    assert (_failed(client).status_code, _failed(client).code) == (400, "engine_refused_request")


def test_a_model_the_engine_does_not_know_is_the_operators_matter(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(status=404, error={"error": {"message": "no model tiny"}})
    error = _failed(client)
    assert (error.status_code, error.response.headers["x-should-retry"]) == (502, "false")


@pytest.mark.parametrize("status", [408, 504])
def test_an_engine_that_gave_up_is_504(client: OpenAI, upstream: Upstream, status: int) -> None:
    upstream.script = Script(status=status)
    assert _failed(client).status_code == 504


def test_a_reply_that_is_no_completion_is_502(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(trouble="garbage")
    error = _failed(client)
    assert (error.status_code, error.code) == (502, "engine_reply_invalid")


def test_a_reply_without_the_outputs_is_502_and_not_worth_a_retry(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(text="forty-two, I think")
    error = _failed(client)
    assert isinstance(error, InternalServerError)
    assert (error.status_code, error.code) == (502, "program_output_invalid")
    assert error.response.headers["x-should-retry"] == "false"
    assert error.response.headers["x-smallforge-release"].startswith("quiz@")


def test_an_answer_that_never_passes_the_checks_is_502_and_names_what_it_broke_but_not_what_it_says(
    client: OpenAI, upstream: Upstream
) -> None:
    upstream.script = Script(REPLY.replace("forty-two", "unspeakable"))
    with pytest.raises(InternalServerError) as caught:
        client.chat.completions.create(model="checked", messages=ASK)
    error = caught.value
    assert (error.status_code, error.code) == (502, "program_output_invalid")
    assert "'answer' must mention 'forty-two'" in error.message and "unspeakable" not in error.response.text
    assert error.response.headers["x-should-retry"] == "false"
    assert float(error.response.headers["x-smallforge-cost-usd"]) > 0
    assert len(upstream.asked) == 2


def test_openais_client_does_not_repeat_what_a_repeat_cannot_mend(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    upstream.script = Script(text="no fields")
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=2) as client:
        _failed(client)
    assert len(upstream.asked) == 1


def test_openais_client_does_repeat_what_may_pass(gateway: RunningGateway, upstream: Upstream) -> None:
    upstream.script = Script(status=500)
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=1) as client:
        _failed(client)
    assert len(upstream.asked) == 2


def test_unknown_model_is_404_with_openai_error_body(client: OpenAI) -> None:
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=ASK)
    body: Any = caught.value.response.json()["error"]
    assert caught.value.status_code == 404
    assert (body["type"], body["param"], body["code"]) == (
        "invalid_request_error",
        "model",
        "model_not_found",
    )
    assert "'gpt-4o'" in body["message"] and "quiz" in body["message"]


def test_an_endless_model_name_is_not_repeated(gateway: RunningGateway) -> None:
    reply = httpx.post(f"{gateway.url}/v1/chat/completions", json={"model": "x" * 100_000, "messages": ASK})
    assert reply.status_code == 404 and len(reply.text) < 2_000


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": 5, "messages": []}', b'{"messages": []}'])
def test_a_bad_body_is_400_with_openai_error_body(gateway: RunningGateway, body: bytes) -> None:
    reply = httpx.post(f"{gateway.url}/v1/chat/completions", content=body)
    assert reply.status_code == 400
    assert reply.json()["error"].keys() == {"message", "type", "param", "code"}
    assert reply.headers["x-should-retry"] == "false"


def test_a_body_that_is_too_large_is_413(gateway: RunningGateway) -> None:
    reply = httpx.post(f"{gateway.url}/v1/chat/completions", content=b" " * (5 * 1024 * 1024))
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/chat/completions", 405), ("POST", "/v1/audio/speech", 404), ("GET", "/", 404),
     ("GET", "/v1/models/nope", 404), ("DELETE", "/v1/models", 405), ("GET", "/metrics", 404)],
)  # fmt: skip
def test_other_paths_get_openai_error_bodies(
    gateway: RunningGateway, method: str, path: str, status: int
) -> None:
    reply = httpx.request(method, gateway.url + path)
    assert reply.status_code == status
    assert reply.json()["error"].keys() == {"message", "type", "param", "code"}


def test_a_foreign_host_name_is_not_served(gateway: RunningGateway) -> None:
    assert httpx.get(f"{gateway.url}/v1/models", headers={"host": "evil.example"}).status_code == 400


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InputInvalid("question", "input 'question' is missing"), 400, None),
        (RunFailed("no answer", ()), 502, "program_output_invalid"),
        (engine_errors.EngineTimeout("slow", phase="total", seconds=1), 504, "engine_timeout"),
        (engine_errors.EngineUnreachable("gone"), 502, "engine_unreachable"),
        (RetrievalFailed("the retriever at http://canary can't be reached"), 502, "retrieval_failed"),
        (ZeroDivisionError("secret-canary"), 500, "internal_error"),
    ],
)
def test_errors_of_other_layers_become_openai_errors(error: Exception, status: int, code: str | None) -> None:
    told = as_gateway_error(error)
    assert (told.status, told.code) == (status, code)
    assert "canary" not in told.message


def test_only_what_a_repeat_may_mend_is_left_to_be_repeated() -> None:
    repeatable = {kind for kind in UPSTREAM if kind.retryable}
    assert repeatable == {
        engine_errors.EngineUnreachable, engine_errors.EngineTimeout, engine_errors.EngineRateLimited,
        engine_errors.EngineServerError,
    }  # fmt: skip
    assert GatewayError("x").headers() == [(b"x-should-retry", b"false")]
