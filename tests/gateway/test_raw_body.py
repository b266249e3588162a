"""Tests for gateway/raw_body.py: what a request for an engine's own model can't make of the engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.limits.test_allowance import BY_TOKEN, limited
from tests.gateway.serving import RunningGateway, running_gateway, settings_for
from tests.gateway.upstream import Script, Upstream, running_upstream


@pytest.fixture(scope="module")
def exposing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, Upstream]]:
    with running_upstream() as upstream:
        upstream.models = ["tiny", "hidden"]
        settings = settings_for(tmp_path_factory.mktemp("exposing"), upstream.url, top='expose = ["tiny"]')
        with running_gateway(settings) as gateway:
            yield gateway, upstream


@pytest.mark.parametrize(
    "more",
    [
        # A server in Go takes these for the fields in small letters.
        {"Model": "hidden"}, {"MAX_TOKENS": 10**9}, {"max_to\u212aens": 10**9}, {"be\u017ft_of": 900},
        # One with pydantic takes these for numbers.
        {"n": "900"}, {"n": 900.0}, {"max_tokens": 1e9}, {"max_completion_tokens": "1000000000"},
        {"stream": "true"}, {"n_predict": 10**9}, {"stream_interval": 2.5},
        {"prompt": ["x"] * 2_049}, {"input": [[1]] * 2_049},
        {"request_id": "another's"}, {"priority": -1},
    ],
    ids=lambda more: ascii(more)[:24],
)  # fmt: skip
@pytest.mark.parametrize("path", ["chat/completions", "completions", "embeddings"])
def test_what_the_engine_would_read_otherwise_never_reaches_it(
    exposing: tuple[RunningGateway, Upstream], path: str, more: dict[str, Any]
) -> None:
    gateway, upstream = exposing
    body = {"model": "tiny", "messages": [{"role": "user", "content": "q"}], "prompt": "x", "input": "x"}
    reply = httpx.post(f"{gateway.url}/v1/{path}", json={**body, **more})
    assert reply.status_code == 400 and reply.json()["error"]["param"] == next(iter(more))
    assert upstream.asked == [] and upstream.raw == []


@pytest.mark.parametrize(
    "more",
    [
        {"max_completion_tokens": 1, "max_tokens": 500},
        {"prompt": ["x"] * 50, "max_tokens": 10},
        {"max_tokens": 2, "stream_interval": 100},
    ],
    ids=["two bounds", "many prompts", "large events"],
)
def test_who_leaves_before_the_count_pays_for_what_could_be_read_by_then(
    tmp_path: Path, upstream: Upstream, more: dict[str, Any]
) -> None:
    """500 tokens, in each of these."""
    upstream.script = Script("one two three four five", trouble="stall_midway")
    settings: dict[str, Any] = {"top": 'expose = ["tiny"]', "price": BY_TOKEN}
    with limited(tmp_path, upstream, "tpm = 100000\nusd_per_day = 0.5", **settings) as gateway:
        body = {"model": "tiny", "prompt": "x", "stream": True, **more}
        with httpx.stream("POST", f"{gateway.url}/v1/completions", json=body) as reply:
            assert reply.status_code == 200 and upstream.stalled.wait(10)
        upstream.reset()
        again = httpx.post(f"{gateway.url}/v1/completions", json={"model": "tiny", "prompt": "x"})
        assert (again.status_code, again.json()["error"]["code"]) == (429, "insufficient_quota")
