"""Tests for gateway/shortcut.py: who takes it, and that nobody passes the guards by it."""

from __future__ import annotations

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.shortcut import Shortcut
from tests.gateway.serving import RunningGateway


def saying(word: str) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(word)(scope, receive, send)

    return app


@pytest.mark.parametrize(
    ("method", "path", "who"),
    [("POST", "/fast", "endpoint"), ("GET", "/fast", "router"), ("POST", "/fast/", "router")],
)
async def test_only_a_post_for_one_of_the_paths_takes_it(method: str, path: str, who: str) -> None:
    app = Shortcut(saying("router"), {"/fast": saying("endpoint")})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        assert (await client.request(method, path)).text == who


def test_other_methods_are_refused_and_strange_hosts_kept_out(gateway: RunningGateway) -> None:
    url = f"{gateway.url}/v1/chat/completions"
    assert httpx.get(url).status_code == 405
    assert httpx.post(url, json={}, headers={"Host": "evil.example"}).status_code == 400
    assert httpx.post(url, json={}, headers={"Host": "evil.example"}).text == "Invalid host header"
