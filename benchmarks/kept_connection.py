"""A client's connection, kept alive: it asks one request after the other and repeats none.

It is opened where it is not open, as by every client that keeps connections. A request under which it breaks
has an answer that is not whole, and nobody hides that by asking again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import httptools

PATIENCE = 60.0  # seconds for an answer


class Answer(NamedTuple):
    """What came of it. `status` is 0 where not even the head did."""

    status: int
    body: bytes
    whole: bool


class KeptConnection:
    def __init__(self, port: int) -> None:
        self._port = port
        self._line: _Line | None = None

    async def ask(self, message: bytes) -> Answer:
        """Asks, and waits until the answer is whole or nothing more comes of it."""
        line = await self._send(message)
        if line is None:
            return _NOTHING
        try:
            async with asyncio.timeout(PATIENCE):
                await line.over.wait()
        except TimeoutError:
            self.close()
        if not line.may_be_kept():
            self.close()
        return line.answer()

    async def leave(self, message: bytes, seconds: float, *, begun: bool) -> Answer:
        """Asks and leaves after so many seconds; with `begun` they count from the first of the answer."""
        line = await self._send(message)
        if line is None:
            return _NOTHING
        try:
            async with asyncio.timeout(PATIENCE):
                if begun:
                    await line.begun.wait()
                await asyncio.sleep(seconds)
        except TimeoutError:
            pass
        self.close()
        return line.answer()

    def close(self) -> None:
        if self._line is not None:
            self._line.transport.abort()
        self._line = None

    async def _send(self, message: bytes) -> _Line | None:
        """The connection on which the message went; None where none could be opened."""
        if self._line is None or self._line.transport.is_closing():
            try:
                loop = asyncio.get_running_loop()
                _, self._line = await loop.create_connection(_Line, "127.0.0.1", self._port)
            except OSError:
                self._line = None
                return None
        self._line.expect()
        self._line.transport.write(message)
        return self._line


class _Line(asyncio.Protocol):
    """One connection, and the answer that comes on it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._broken = False
        self.expect()

    def expect(self) -> None:
        """The next answer begins."""
        self.begun, self.over = asyncio.Event(), asyncio.Event()
        self._parser = httptools.HttpResponseParser(self)
        self._status, self._parts = 0, list[bytes]()
        self._whole = self._is_last = False

    def answer(self) -> Answer:
        return Answer(self._status, b"".join(self._parts), self._whole)

    def may_be_kept(self) -> bool:
        return self._whole and not self._broken and not self._is_last

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._broken = True
            self.over.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.begun.set()
        self.over.set()

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)
        self.begun.set()

    def on_message_complete(self) -> None:
        self._whole = True
        self._is_last = not self._parser.should_keep_alive()  # known in this moment only
        self.over.set()


_NOTHING = Answer(0, b"", whole=False)


def post(path: str, body: Mapping[str, Any]) -> bytes:
    """A request on a connection that is kept."""
    return post_bytes(path, json.dumps(body, separators=(",", ":")).encode())


def post_bytes(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
