"""Tests for gateway/shortcut.py: who takes it, and that nobody passes the guards by it."""

from __future__ import annotations

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.hosts import OwnHosts
from gateway.shortcut import FastAPIWithShortcut
from tests.gateway.serving import RunningGateway


def saying(word: str) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(word)(scope, receive, send)

    return app


def shortened() -> FastAPIWithShortcut:
    app = FastAPIWithShortcut()
    app.add_middleware(OwnHosts, hosts=["here"])
    app.router.routes.append(Mount("/fast", saying("router")))
    app.shorten({"/fast": saying("endpoint")})
    return app


@pytest.mark.parametrize(
    ("method", "path", "who"),
    [("POST", "/fast", "endpoint"), ("GET", "/fast/", "router"), ("POST", "/fast?a=b", "endpoint")],
)
async def test_only_a_post_for_one_of_the_paths_takes_it(method: str, path: str, who: str) -> None:
    transport = httpx.ASGITransport(shortened())
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        assert (await client.request(method, path)).text == who


@pytest.mark.parametrize(("method", "path"), [("POST", "/fast"), ("GET", "/fast/")])
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("here", 200), ("here:8080", 200), ("HERE", 200),
        ("there", 400), ("here.evil", 400), ("here:80.evil", 400), ("", 400),
    ],
)  # fmt: skip
async def test_a_strange_host_passes_no_way(method: str, path: str, host: str, status: int) -> None:
    transport = httpx.ASGITransport(shortened())
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        assert (await client.request(method, path, headers={"Host": host})).status_code == status


def test_other_methods_are_refused_and_strange_hosts_kept_out(gateway: RunningGateway) -> None:
    url = f"{gateway.url}/v1/chat/completions"
    assert httpx.get(url).status_code == 405
    assert httpx.post(url, json={}, headers={"Host": "evil.example"}).status_code == 400
    assert httpx.post(url, json={}, headers={"Host": "evil.example"}).text == "Invalid host header"
