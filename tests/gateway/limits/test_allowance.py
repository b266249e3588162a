"""Limits as the clients of a gateway meet them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import InternalServerError, OpenAI, RateLimitError

from tests.gateway.access.issuing import where_keys_are
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.upstream import Script, Upstream

ASK: Any = [{"role": "user", "content": "q"}]
BY_TOKEN = "usd_per_million_input = 1000\nusd_per_million_output = 1000"


@contextmanager
def limited(folder: Path, upstream: Upstream, limits: str, **settings: Any) -> Iterator[RunningGateway]:
    """A gateway with the release `quiz`, and these lines as the limits of every model."""
    put_release(folder / "releases", make_plan(), fingerprint_of(upstream.url))
    lines = f'{where_keys_are(folder)}\n[limits."*"]\n{limits}'
    with running_gateway(settings_for(folder, upstream.url, gateway=lines, **settings)) as gateway:
        yield gateway


@contextmanager
def client_of(gateway: RunningGateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="key", max_retries=0, timeout=20) as client:
        yield client


def ask(client: OpenAI, **more: Any) -> httpx.Headers:
    return client.chat.completions.with_raw_response.create(model="quiz", messages=ASK, **more).headers


def refused(client: OpenAI, **more: Any) -> RateLimitError:
    with pytest.raises(RateLimitError) as caught:
        ask(client, **more)
    return caught.value


def test_a_limit_per_minute_refuses_as_openai_does(tmp_path: Path, upstream: Upstream) -> None:
    with limited(tmp_path, upstream, "rpm = 2") as gateway, client_of(gateway) as client:
        assert [ask(client)["x-ratelimit-remaining-requests"] for _ in "12"] == ["1", "0"]
        error = refused(client)
        assert gateway.metric("gateway_limited_total", model="quiz", limit="requests", scope="model") == 1
    assert (error.type, error.code, error.param) == ("requests", "rate_limit_exceeded", None)
    told = "Rate limit reached for quiz on requests per min (RPM): Limit 2, Used 2, Requested 1. Please try "
    assert told in error.message
    headers = error.response.headers
    assert 20 <= float(headers["retry-after"]) <= 30 and 20_000 < float(headers["retry-after-ms"]) <= 30_000
    assert headers["x-ratelimit-limit-requests"] == "2" and "x-should-retry" not in headers


def test_every_answer_says_how_the_limits_stand(tmp_path: Path, upstream: Upstream) -> None:
    with limited(tmp_path, upstream, "rpm = 60\ntpm = 6000") as gateway, client_of(gateway) as client:
        whole, streamed = ask(client), ask(client, stream=True)
    assert (whole["x-ratelimit-limit-requests"], whole["x-ratelimit-limit-tokens"]) == ("60", "6000")
    assert whole["x-ratelimit-remaining-requests"] == "59" and whole["x-ratelimit-reset-requests"] == "1s"
    assert 5700 < int(whole["x-ratelimit-remaining-tokens"]) < 5800  # of a reply of up to 200 tokens
    assert int(streamed["x-ratelimit-remaining-requests"]) >= 58


def test_tokens_are_given_back_that_a_request_did_not_use(tmp_path: Path, upstream: Upstream) -> None:
    with limited(tmp_path, upstream, "tpm = 300") as gateway, client_of(gateway) as client:
        assert int(ask(client)["x-ratelimit-remaining-tokens"]) < 100  # it may write 200, and writes 19
        assert int(ask(client, max_tokens=100)["x-ratelimit-remaining-tokens"]) < 100


def test_a_request_that_can_never_fit_is_told_so(tmp_path: Path, upstream: Upstream) -> None:
    with limited(tmp_path, upstream, "tpm = 100") as gateway, client_of(gateway) as client:
        error = refused(client)
        assert ask(client, max_tokens=10)
    assert "Request too large for quiz on tokens per min (TPM): Limit 100, Requested 2" in error.message
    assert (error.type, error.code) == ("tokens", "rate_limit_exceeded")
    assert error.response.headers["x-should-retry"] == "false" and upstream.asked


def test_only_so_many_run_at_a_time_and_a_client_that_leaves_frees_its_place(
    tmp_path: Path, upstream: Upstream
) -> None:
    stuck = Script(trouble="stall_midway")
    upstream.script = replace(stuck, then=replace(stuck, then=Script()))
    asking: Any = {"model": "quiz", "messages": ASK, "stream": True}
    with limited(tmp_path, upstream, "concurrency = 2") as gateway, client_of(gateway) as client:
        streams = [client.chat.completions.create(**asking) for _ in range(2)]
        told = refused(client).message
        streams[0].close()
        wait_until(lambda: gateway.metric("gateway_in_flight_requests") == 1)
        assert ask(client)
        streams[1].close()
    assert "requests at a time: Limit 2, Used 2, Requested 1. Please try again in 1s." in told


def test_openais_client_waits_as_told_and_gets_through(tmp_path: Path, upstream: Upstream) -> None:
    upstream.script = Script(seconds=0.5, then=Script())
    with limited(tmp_path, upstream, "concurrency = 1") as gateway, client_of(gateway) as client:
        patient = client.with_options(max_retries=9)
        with ThreadPoolExecutor(1) as threads:
            first = threads.submit(ask, client)
            wait_until(lambda: bool(upstream.asked))
            assert ask(patient) and first.result()
        assert gateway.metric("gateway_limited_total", model="quiz", limit="concurrency", scope="model") >= 1


def test_a_spent_budget_is_a_quota_that_no_repeat_mends(tmp_path: Path, upstream: Upstream) -> None:
    with (
        limited(tmp_path, upstream, "usd_per_day = 0.2", price=BY_TOKEN) as gateway,
        client_of(gateway) as client,
    ):
        assert float(ask(client)["x-smallforge-cost-usd"]) == 0.135
        ask(client)
        error = refused(client)
    assert (error.type, error.code) == ("insufficient_quota", "insufficient_quota")
    assert (
        "You exceeded your current quota: quiz may cost 0.2 USD per day, and that is spent." in error.message
    )
    assert error.response.headers["x-should-retry"] == "false"
    assert 0 < int(error.response.headers["retry-after"]) <= 86_400


def test_an_engines_own_model_is_limited_too(tmp_path: Path, upstream: Upstream) -> None:
    top = 'expose = ["tiny"]'
    with limited(tmp_path, upstream, "rpm = 1", top=top) as gateway, client_of(gateway) as client:
        assert client.embeddings.create(model="tiny", input="q", encoding_format="float").data
        with pytest.raises(RateLimitError) as caught:
            client.chat.completions.create(model="tiny", messages=ASK)
        assert ask(client)["x-ratelimit-remaining-requests"] == "0"  # another model, another bucket
    assert "Rate limit reached for tiny on requests per min" in caught.value.message


def test_a_budget_needs_a_price(tmp_path: Path, upstream: Upstream) -> None:
    with (
        limited(tmp_path, upstream, "usd_per_month = 9", price="") as gateway,
        client_of(gateway) as client,
        pytest.raises(InternalServerError) as caught,
    ):
        ask(client)
    assert (caught.value.status_code, caught.value.code) == (503, "price_unknown")
    assert "what 'quiz' costs is not known here" in caught.value.message and not upstream.asked


def test_limits_of_no_model_are_told_to_the_operator(
    tmp_path: Path, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    with limited(tmp_path, upstream, "rpm = 60\n[limits.quizz]\nrpm = 1\n[limits.quiz]\nrpm = 2"):
        told = [record.getMessage() for record in caplog.records if "limit nothing" in record.getMessage()]
    assert told == ["the limits of 'quizz' limit nothing: no such model is served now"]
