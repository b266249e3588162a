"""Limits as the clients of a gateway meet them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI, RateLimitError

from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
)
from tests.gateway.upstream import Upstream

ASK: Any = [{"role": "user", "content": "q"}]
BY_TOKEN = "usd_per_million_input = 1000\nusd_per_million_output = 1000"


@contextmanager
def limited(folder: Path, upstream: Upstream, limits: str, **settings: Any) -> Iterator[RunningGateway]:
    """A gateway with the release `quiz`, and these lines as the limits of every model."""
    put_release(folder / "releases", make_plan(), fingerprint_of(upstream.url))
    limits = f'[limits."*"]\n{limits}\n'
    with running_gateway(settings_for(folder, upstream.url, gateway=limits, **settings)) as gateway:
        yield gateway


@contextmanager
def client_of(gateway: RunningGateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="key", max_retries=0, timeout=20) as client:
        yield client


def ask(client: OpenAI, **more: Any) -> httpx.Headers:
    return client.chat.completions.with_raw_response.create(model="quiz", messages=ASK, **more).headers


def test_a_limit_per_minute_refuses_as_openai_does(tmp_path: Path, upstream: Upstream) -> None:
    with limited(tmp_path, upstream, "rpm = 2") as gateway, client_of(gateway) as client:
        assert [ask(client)["x-ratelimit-remaining-requests"] for _ in "12"] == ["1", "0"]
        with pytest.raises(RateLimitError) as caught:
            ask(client)
        assert gateway.metric("gateway_limited_total", model="quiz", limit="requests", scope="model") == 1
    assert caught.value.body == {
        "message": "Rate limit reached for quiz on requests per min (RPM): Limit 2, Used 2, Requested 1. "
        f"Please try again in {caught.value.response.json()['error']['message'].split()[-1]}",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    headers = caught.value.response.headers
    assert 29 <= float(headers["retry-after"]) <= 30 and float(headers["retry-after-ms"]) <= 30_000
    assert headers["x-ratelimit-limit-requests"] == "2" and "x-should-retry" not in headers
