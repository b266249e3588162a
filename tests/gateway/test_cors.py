"""Tests for gateway/cors.py: which pages may read the gateway's answers, asked as a browser asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.settings import read_settings
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
)
from tests.gateway.upstream import Upstream, running_upstream

PAGE, OTHER = "http://localhost:3000", "https://elsewhere.example"
CHAT: Any = {"model": "quiz", "messages": [{"role": "user", "content": "q"}]}


def serving(folder: Path, upstream: Upstream, allowed: str) -> Any:
    put_release(folder / "releases", make_plan("quiz"), fingerprint_of(upstream.url))
    settings_for(folder, upstream.url)
    file = folder / "smallforge.toml"
    file.write_text(file.read_text() + allowed)  # its last table is the gateway's
    return running_gateway(read_settings(file))


@pytest.fixture(scope="module")
def open_to_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_upstream() as upstream:
        folder = tmp_path_factory.mktemp("cors")
        with serving(folder, upstream, f'allow_origins = ["{PAGE}"]') as gateway:
            yield gateway


def chat(gateway: RunningGateway, origin: str | None, **body: Any) -> httpx.Response:
    headers = {} if origin is None else {"origin": origin}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json={**CHAT, **body}, headers=headers)


def preflight(gateway: RunningGateway, origin: str, **headers: str) -> httpx.Response:
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-lang",
        **headers,
    }
    return httpx.options(f"{gateway.url}/v1/chat/completions", headers=asked)


def test_an_allowed_page_reads_answers_and_what_they_cost(open_to_page: RunningGateway) -> None:
    reply = chat(open_to_page, PAGE)
    assert reply.json()["choices"][0]["message"]["content"] == "forty-two"
    assert reply.headers["access-control-allow-origin"] == PAGE and "Origin" in reply.headers["vary"]
    assert "x-smallforge-cost-usd" in reply.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in reply.headers


def test_an_allowed_page_reads_streams_and_errors_too(open_to_page: RunningGateway) -> None:
    for reply in (chat(open_to_page, PAGE, stream=True), chat(open_to_page, PAGE, model="nope")):
        assert reply.headers["access-control-allow-origin"] == PAGE


def test_a_preflight_is_answered_with_what_was_asked(open_to_page: RunningGateway) -> None:
    reply = preflight(open_to_page, PAGE)
    assert reply.status_code == 200 and reply.headers["access-control-allow-origin"] == PAGE
    assert reply.headers["access-control-allow-headers"] == "authorization,content-type,x-stainless-lang"
    assert "POST" in reply.headers["access-control-allow-methods"]


def test_a_named_page_may_come_from_the_open_web(open_to_page: RunningGateway) -> None:
    reply = preflight(open_to_page, PAGE, **{"access-control-request-private-network": "true"})
    assert reply.headers["access-control-allow-private-network"] == "true"


def test_another_page_reads_nothing(open_to_page: RunningGateway) -> None:
    assert preflight(open_to_page, OTHER).status_code == 400
    for reply in (preflight(open_to_page, OTHER), chat(open_to_page, OTHER)):
        assert "access-control-allow-origin" not in reply.headers


def test_who_is_no_page_notices_nothing(open_to_page: RunningGateway) -> None:
    assert not [name for name in chat(open_to_page, None).headers if name.startswith("access-control")]


def test_a_strange_host_is_refused_before_its_origin_is_looked_at(open_to_page: RunningGateway) -> None:
    headers = {"origin": PAGE, "host": "evil.example"}
    reply = httpx.get(f"{open_to_page.url}/v1/models", headers=headers)
    assert reply.status_code == 400 and "access-control-allow-origin" not in reply.headers


def test_every_page_may_be_allowed_but_not_from_the_open_web(tmp_path: Path, upstream: Upstream) -> None:
    with serving(tmp_path, upstream, 'allow_origins = ["*"]') as gateway:
        assert chat(gateway, OTHER).headers["access-control-allow-origin"] == "*"
        network = {"access-control-request-private-network": "true"}
        assert preflight(gateway, OTHER, **network).status_code == 400


def test_credentials_are_for_named_pages(tmp_path: Path, upstream: Upstream) -> None:
    allowed = f'allow_origins = ["{PAGE}"]\nallow_credentials = true'
    with serving(tmp_path, upstream, allowed) as gateway:
        assert chat(gateway, PAGE).headers["access-control-allow-credentials"] == "true"


def test_no_page_is_allowed_unless_the_operator_says_so(gateway: RunningGateway) -> None:
    assert "access-control-allow-origin" not in chat(gateway, PAGE).headers
    assert preflight(gateway, PAGE).status_code == 405
