"""The connections to one engine that are kept from one request to the next."""

from __future__ import annotations

import asyncio
import socket
import ssl
from base64 import b64encode
from collections.abc import Mapping
from functools import cached_property
from types import TracebackType
from urllib.parse import quote, unquote, urlsplit

from aiohappyeyeballs import start_connection

from engine.connection import Connection
from engine.errors import EngineTimeout
from engine.trace_context import TRACE_LINES
from engine.translation import from_transport
from engine.waiting import Clock, Timeouts

_PORTS = {"http": 80, "https": 443}
_EYEBALLS_SECONDS = 0.25  # until another of a host's addresses is tried too (RFC 8305)


class Pool:
    """The connections of one event loop to one URL. At most `size` of them work at a time; others wait."""

    def __init__(self, url: str, headers: Mapping[str, str], size: int, timeouts: Timeouts) -> None:
        self._url = url
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(size)
        self._all: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # in the order of their last use
        self._sweeper: asyncio.TimerHandle | None = None
        try:
            self._read_url(headers)
        except ValueError as error:
            raise from_transport(error, url) from error

    def _read_url(self, headers: Mapping[str, str]) -> None:
        parts = urlsplit(self._url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"{self._url!r} is no address of an HTTP server")
        self._host, self._tls = parts.hostname, parts.scheme == "https"
        self._port = parts.port or _PORTS[parts.scheme]
        host = self._host.encode("idna").decode() if ":" not in self._host else f"[{self._host}]"
        said = {"Host": host if self._port == _PORTS[parts.scheme] else f"{host}:{self._port}", **headers}
        if parts.username is not None and "Authorization" not in said:
            named = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            said["Authorization"] = f"Basic {b64encode(named.encode()).decode()}"
        lines = [f"{name}: {value}" for name, value in said.items()]
        if any(not line.isprintable() for line in lines):
            raise ValueError("a header would hold a line break or another control character")
        self._head = "\r\n".join([*lines, "Content-Length: "]).encode()
        self._path = quote(parts.path, safe="/%:@!$&'()*+,;=~")

    @cached_property
    def _ssl(self) -> ssl.SSLContext | None:
        return ssl.create_default_context() if self._tls else None

    def message(self, method: str, path: str, body: bytes) -> bytes:
        """A whole request, as it travels."""
        line = f"{method} {self._path}{path} HTTP/1.1\r\n".encode()
        return b"%b%b%d\r\n%b\r\n%b" % (line, self._head, len(body), TRACE_LINES.get(), body)

    def lease(self) -> Lease:
        """`async with pool.lease() as connection:`, for one request. Raises EngineError."""
        return Lease(self, Clock(self._timeouts, self._url, self._loop.time))

    async def take(self, clock: Clock) -> Connection:
        """A connection that has to be given back."""
        if self._slots.locked():
            try:
                async with asyncio.timeout_at(clock.until("first_byte")):
                    await self._slots.acquire()
            except TimeoutError as error:
                raise clock.late() from error
        else:
            await self._slots.acquire()  # which does not wait
        connection: Connection | None = None
        try:
            connection = self._kept() or await self._opened(clock)
            return connection
        finally:
            if connection is None:
                self._slots.release()

    def give_back(self, connection: Connection) -> None:
        self._slots.release()
        if not connection.usable or connection not in self._all:
            connection.close()
            return
        self._idle[connection] = None
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._timeouts.idle, self._sweep)

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in self._all:
            connection.close()
        self._idle.clear()
        self._all.clear()
        await asyncio.sleep(0)  # which is when their sockets are closed

    def _kept(self) -> Connection | None:
        oldest = self._loop.time() - self._timeouts.idle
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.usable and connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    async def _opened(self, clock: Clock) -> Connection:
        try:
            async with asyncio.timeout_at(clock.until("first_byte")):
                return await self._open()
        except TimeoutError as error:
            raise clock.late() from error
        except (OSError, ValueError, RuntimeError) as error:  # uvloop has RuntimeError for some of the others
            raise from_transport(error, self._url) from error

    async def _open(self) -> Connection:
        addresses = await self._loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        seconds = self._timeouts.connect
        try:
            async with asyncio.timeout(seconds):
                opened = await start_connection(addresses, happy_eyeballs_delay=_EYEBALLS_SECONDS)
        except TimeoutError as error:
            raise EngineTimeout.in_phase(self._url, "connect", seconds) from error
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._url, self._forget),
            sock=opened,
            ssl=self._ssl,
            server_hostname=self._host if self._tls else None,
        )
        self._all.add(connection)
        return connection

    def _forget(self, connection: Connection) -> None:
        self._all.discard(connection)
        self._idle.pop(connection, None)

    def _sweep(self) -> None:
        """Closes connections that were idle too long; it runs only while some are idle."""
        oldest = self._loop.time() - self._timeouts.idle
        for connection in [one for one in self._idle if one.idle_since <= oldest]:
            del self._idle[connection]
            connection.close()
        waiting = bool(self._idle)
        self._sweeper = self._loop.call_later(self._timeouts.idle, self._sweep) if waiting else None


class Lease:
    """A connection for as long as a block lasts. Leaving before the reply's last byte closes it."""

    __slots__ = ("_clock", "_connection", "_pool")

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def __aenter__(self) -> Connection:
        self._connection = await self._pool.take(self._clock)
        self._connection.clock = self._clock
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.give_back(self._connection)
