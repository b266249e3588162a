from __future__ import annotations

import asyncio
import socket

import pytest

OUTSIDE = "192.0.2.1"  # reserved for documentation; nothing answers there


def test_connecting_beyond_this_machine_is_refused() -> None:
    with socket.socket() as outgoing, pytest.raises(RuntimeError, match=r"tried to reach .192\.0\.2\.1."):
        outgoing.connect((OUTSIDE, 80))


def test_looking_up_a_public_name_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"tried to reach .example\.invalid."):
        socket.getaddrinfo("example.invalid", 80)


async def test_connecting_beyond_this_machine_is_refused_in_asyncio() -> None:
    with pytest.raises(RuntimeError, match="tried to reach"):
        await asyncio.open_connection(OUTSIDE, 80)


async def test_a_server_on_loopback_can_be_reached() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(greet, "localhost", 0)
    async with server:
        reader, writer = await asyncio.open_connection("localhost", server.sockets[0].getsockname()[1])
        assert await reader.read() == b"hello"
        writer.close()
        await writer.wait_closed()
