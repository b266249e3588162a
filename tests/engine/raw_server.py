"""A server that answers with the very bytes it is told to, however wrong they are as HTTP."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import orjson

from tests.engine.scripted_server import completion

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]

BODY = orjson.dumps(completion())
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


@dataclass
class RawServer:
    """What the server saw: every request as it came, and how many connections there were."""

    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    closed: int = 0


@asynccontextmanager
async def answering(*answers: Answer | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Gives the answers to the requests in their order, whatever connections they come on; the last again."""
    seen, left = RawServer(), list(answers)
    open_ones: set[asyncio.StreamWriter] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        open_ones.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                seen.requests.append(await _request(reader))
                answer = left.pop(0) if len(left) > 1 else left[0]
                await (sending(answer) if isinstance(answer, bytes) else answer)(writer)
        seen.closed += 1
        open_ones.remove(writer)
        writer.transport.abort()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    async with server:
        seen.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield seen
        finally:
            for writer in open_ones:
                writer.transport.abort()
            await asyncio.sleep(0.01)


def sending(*parts: bytes, then_close: bool = False, then_reset: bool = False) -> Answer:
    """Sends the parts as so many segments, and may end the connection after them."""

    async def send(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.002 if len(parts) > 1 else 0)
        if then_reset:
            writer.transport.abort()
        elif then_close:
            writer.close()

    return send


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
    return head + await reader.readexactly(int(length.removeprefix(b"Content-Length: ")))
