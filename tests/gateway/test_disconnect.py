"""Tests for gateway/disconnect.py: a client that leaves stops the engine's work."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
import orjson
import pytest

from gateway.disconnect import ClientGone, Departure, WhileConnected
from tests.gateway.serving import RunningGateway, wait_until
from tests.gateway.upstream import Script, Upstream


def _ask_and_leave(
    gateway: RunningGateway,
    upstream: Upstream,
    stream: bool,
    read_first: bool,
    more: bytes = b"",
    text: str = "q",
) -> bytes:
    """Sends a request, and `more`, waits until the engine works on it, and closes the connection."""
    body = orjson.dumps({"model": "quiz", "messages": [{"role": "user", "content": text}], "stream": stream})
    address = httpx.URL(gateway.url)
    with socket.create_connection((address.host, address.port or 80), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
            b"content-length: %d\r\n\r\n" % len(body) + body + more
        )
        assert upstream.stalled.wait(10)
        return connection.recv(65536) if read_first else b""


def test_a_unary_client_that_leaves_stops_the_engine(gateway: RunningGateway, upstream: Upstream) -> None:
    upstream.script = Script(trouble="stall")
    _ask_and_leave(gateway, upstream, stream=False, read_first=False)
    assert upstream.abandoned.wait(5)


def test_a_streaming_client_that_leaves_before_the_first_byte_stops_the_engine(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    upstream.script = Script(trouble="stall")
    _ask_and_leave(gateway, upstream, stream=True, read_first=False)
    assert upstream.abandoned.wait(5)


def test_a_client_that_leaves_midway_stops_the_engine(gateway: RunningGateway, upstream: Upstream) -> None:
    upstream.script = Script(trouble="stall_midway", piece=2)
    seen = _ask_and_leave(gateway, upstream, stream=True, read_first=True)
    assert b"200 OK" in seen and b"reasoning" in seen
    assert upstream.abandoned.wait(5)


def test_a_client_that_leaves_after_a_long_request_stops_the_engine(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    upstream.script = Script(trouble="stall")
    _ask_and_leave(gateway, upstream, stream=False, read_first=False, text="long " * 200_000)
    assert upstream.abandoned.wait(5)


def test_a_client_that_leaves_with_requests_sent_ahead_stops_the_engine(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    upstream.script = Script(trouble="stall")
    ahead = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
    _ask_and_leave(gateway, upstream, stream=False, read_first=False, more=ahead * 2)
    assert upstream.abandoned.wait(5)


def test_a_client_that_left_is_counted_as_499(gateway: RunningGateway, upstream: Upstream) -> None:
    release = httpx.get(f"{gateway.url}/v1/models/quiz").json()["smallforge"]["release"].split("@")[1]
    labels = {"model": "quiz", "release": release, "status": "499"}
    before = gateway.metric("gateway_requests_total", **labels)
    upstream.script = Script(trouble="stall")
    _ask_and_leave(gateway, upstream, stream=False, read_first=False)
    wait_until(lambda: gateway.metric("gateway_requests_total", **labels) == before + 1)
    wait_until(lambda: gateway.metric("gateway_in_flight_requests") == 0)


class Wire:
    """The receiving end of a request: silent until the client leaves."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def __call__(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}


async def test_work_that_ends_in_time_is_left_alone() -> None:
    with WhileConnected({}, Wire()):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.current_task() is not None


async def test_the_task_can_go_on_after_its_client_left() -> None:
    wire = Wire()
    asyncio.get_running_loop().call_later(0.01, wire.left.set)
    with pytest.raises(ClientGone), WhileConnected({}, wire):
        await asyncio.sleep(10)
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0
    await asyncio.sleep(0)


async def test_a_cancellation_from_elsewhere_stays_a_cancellation() -> None:
    async def work() -> None:
        with WhileConnected({}, Wire()):
            await asyncio.sleep(10)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_server_that_tells_of_departures_is_believed() -> None:
    departure = Departure()
    asyncio.get_running_loop().call_later(0.01, departure.happens)
    with pytest.raises(ClientGone), WhileConnected({"Departure": departure}, Wire()):
        await asyncio.sleep(10)
    await asyncio.sleep(0)


async def test_a_client_that_left_before_the_work_began_stops_it_all_the_same() -> None:
    departure = Departure()
    departure.happens()
    with pytest.raises(ClientGone), WhileConnected({"Departure": departure}, Wire()):
        await asyncio.sleep(10)


async def test_a_client_that_leaves_after_the_work_disturbs_nobody() -> None:
    departure = Departure()
    with WhileConnected({"Departure": departure}, Wire()):
        pass
    departure.happens()
    await asyncio.sleep(0)
