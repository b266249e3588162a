"""One HTTP/1.1 connection to an engine: a request at a time, and its reply as it arrives.

Parsing is llhttp's (C, by httptools). What is here is what a general client does too much of on the way to an
engine: no redirects, no cookies, no proxies, and one timer for all of a connection's requests.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import cast

import httptools

from engine.errors import EngineError
from engine.translation import from_transport
from engine.waiting import Clock, Reading

_LARGEST_HEAD = 64 * 1024
_LARGEST_BODY = 256 * 1024 * 1024  # a reply that is larger has no end, or was packed to do harm
_MOST_AHEAD = 256 * 1024  # bytes that may wait for a slow reader before the server has to wait as well

# How long a finished stream may take to close by itself before its connection is given up instead of reused.
_LINGER_SECONDS = 0.05


class ConnectionEnded(ConnectionError):
    """The server closed the connection before its reply was complete."""


class Connection(asyncio.Protocol):
    """A connection and the reply to its last request.

    `clock` is the running request's, `idle_since` when the last reply was complete. What goes wrong is raised
    to whoever waits for the reply, as an EngineError and after all that came before.
    """

    def __init__(self, url: str, forget: Callable[[Connection], None]) -> None:
        self.clock: Clock
        self.idle_since = 0.0
        self._url = url
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        # There are servers that are a little wrong but can't be misunderstood.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._until = self._set_for = 0.0
        self._asked = False
        self._prepare()

    def _prepare(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        self._reusable = True
        self._head = self._body = 0
        self._parts: list[bytes] = []
        self._ahead = 0
        self._inflate: Callable[[bytes], bytes] | None = None
        self._error: EngineError | None = None

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        unread = self._ahead > _MOST_AHEAD
        return self.complete and self._reusable and not unread and not self._transport.is_closing()

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def ask(self, message: bytes) -> None:
        """Sends a request and waits for the head of its reply."""
        if self._asked:  # a new one may have been lost before this, and has to remember it
            self._prepare()
        self._asked = True
        self._transport.write(message)
        while not self.status:
            await self._news("first_byte")

    async def read(self) -> bytes:
        """The rest of the reply, whole."""
        if self.complete:
            return self._take()
        pieces = []
        while piece := await self.some("first_byte"):
            pieces.append(piece)
        return b"".join(pieces)

    async def some(self, phase: Reading) -> bytes:
        """What has arrived; nothing once all has."""
        while not self._parts and not self.complete:
            await self._news(phase)
        return self._take()

    async def linger(self) -> None:
        """Waits a moment for the end of a stream that has said it is done: its connection may serve again."""
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while not self.complete:
                    await self._news("between")
        except (TimeoutError, EngineError):
            return

    def close(self) -> None:
        """At once, with what is still to be sent: a server learns from it to stop working."""
        self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self._asked or self.complete:
            self.close()  # nobody asked for this
            return
        try:
            self._parser.feed_data(data)
            if not self.status:
                self._head += len(data)
                if self._head > _LARGEST_HEAD:
                    raise httptools.HttpParserError(f"its head is larger than {_LARGEST_HEAD} bytes")
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(error)
            self.close()
        if self._ahead > _MOST_AHEAD:
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._forget(self)
        if self._timer is not None:
            self._timer.cancel()
        sized = "content-length" in self.headers or "transfer-encoding" in self.headers
        if self.status and not sized and error is None and self._error is None:
            self.complete = True  # such a reply ends with its connection
        else:
            self._fail(error or ConnectionEnded("it closed the connection"))
        self._wake()
        del self._parser  # it holds this connection, as this holds it

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:  # what follows the last chunk is of no use here
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self.headers.clear()  # the reply is still to come
            return
        self.status = status
        self._reusable = self._parser.should_keep_alive()
        if self.headers.get("content-encoding", "identity") != "identity":
            # Nobody asked for it, but there are proxies that do it all the same.
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress

    def on_body(self, data: bytes) -> None:
        part = data if self._inflate is None else self._inflate(data)
        self._body += len(part)
        if self._body > _LARGEST_BODY:
            raise httptools.HttpParserError(f"its body is larger than {_LARGEST_BODY} bytes")
        if part:  # the beginning of packed bytes gives none yet, and no bytes would mean the end
            self._parts.append(part)
        self._ahead += len(data)

    def on_message_begin(self) -> None:
        if self.complete:
            raise httptools.HttpParserError("it sent a second reply")

    def on_message_complete(self) -> None:
        if self.status:
            self.complete = True
            self.idle_since = self._loop.time()

    # Waiting.

    def _take(self) -> bytes:
        parts, self._parts = self._parts, []
        if self._ahead > _MOST_AHEAD:
            self._transport.resume_reading()
        self._ahead = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _news(self, phase: Reading) -> None:
        """Waits until something happens to the reply, or the call is out of time."""
        if self._error is not None:
            raise self._error
        self._until = self.clock.until(phase)
        if self._timer is None or self._set_for > self._until:
            self._arm()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        if not self.complete and self._error is None:
            self._error = from_transport(error, self._url)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._set_for = self._until
        self._timer = self._loop.call_at(self._until, self._look_at_clock)

    def _look_at_clock(self) -> None:
        """One timer serves many requests: mostly it finds that the one it was set for is long over."""
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._until:
            self._arm()
        else:
            self._waiter.set_exception(self.clock.late())
