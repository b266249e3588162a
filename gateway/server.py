"""Runs the app on uvicorn: httptools, one loop, and an end that lets requests finish."""

from __future__ import annotations

import asyncio
import select
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import NamedTuple, cast

import uvicorn
from fastapi import FastAPI
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.disconnect import Departure
from gateway.routes import Readiness


class TellingProtocol(HttpToolsProtocol):
    """uvicorn's connection to a client, but it tells requests at once that their client has left."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # In the order in which they came and are answered: with requests sent ahead there are several.
        self._unanswered: deque[RequestResponseCycle] = deque()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast(Scope, self.scope)[Departure.__name__] = Departure()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._unanswered.append(self.cycle)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if not self.pipeline:
            # A long body had it stop reading, and who does not read can't see a client leave.
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        self._unanswered.popleft()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # uvicorn leaves it running after a reset, and with it all that is known of the last request.
        self._unset_keepalive_if_required()
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
            cast(Scope, cycle.scope)[Departure.__name__].happens()

    def take_leave(self, idle: int) -> None:
        """Answers one more request, and says so; if none comes, the client is waited for so many seconds.

        An answer that has begun can't say any more that it is the last, so after it there may be another.
        """
        self.timeout_keep_alive = idle
        if not self._unanswered:
            self._unset_keepalive_if_required()
            self._wait_for_the_next(idle)
        elif not self.cycle.response_started:
            self.cycle.keep_alive = False

    def timeout_keep_alive_handler(self) -> None:
        """Does not hang up on a request that has come but was not read yet: its client would see a reset."""
        if self.transport.is_closing():
            return
        arrived = select.poll()
        arrived.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        if arrived.poll(0):
            self._wait_for_the_next(1)
        else:
            self.transport.close()

    def _wait_for_the_next(self, seconds: int) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)


class Patience(NamedTuple):
    """Seconds for which a server that goes waits: for clients that are idle, for requests in flight."""

    idle: int
    requests: float


KEEP_ALIVE = 75
"""Seconds; longer than clients keep an idle connection, so that none is closed under a request."""
_NOTICE = 2.0
_LAST_BREATH = 10  # seconds; what runs then is cancelled
_HURRIED = Patience(0, 110.0)
# OpenAI's client takes up no connection that was idle for five seconds; supervisors wait for ten or more.
_ORDERLY = Patience(5, 110.0)
_RELIEVED = Patience(KEEP_ALIVE, 3600.0)


class GatewayServer(uvicorn.Server):
    """SIGTERM ends readiness, two seconds later new connections, then waits for requests in flight.

    In those seconds load balancers see /readyz fail while requests are still answered. SIGINT skips them.
    Whoever has a connection learns from its next answer that this was the last; none is cut off unwarned.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        readiness: Readiness,
        when_started: Callable[[], None],
        when_leaving: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._readiness = readiness
        self._when_started = when_started
        self._when_leaving = when_leaving
        self._loop = asyncio.get_running_loop()
        self._until = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._when_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._readiness.draining and self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self._readiness.draining = True
        how = (_HURRIED, 0.0) if sig == signal.SIGINT else (_ORDERLY, _NOTICE)
        # A signal interrupts anything, so the loop is told in the one way that is safe from here.
        self._loop.call_soon_threadsafe(self._leave, *how)

    def relieve(self) -> None:
        """Another process serves at the same socket by now, so there is time, and readiness goes on."""
        self._leave(_RELIEVED, 0.0)

    def _leave(self, patience: Patience, notice: float) -> None:
        self._when_leaving()
        self._until = self._loop.time() + patience.requests
        self.config.timeout_keep_alive = patience.idle
        last = (b"connection", b"close")
        if last not in self.config.encoded_headers:
            # Every answer that begins from now on has the second list, made of the first once a second.
            self.config.encoded_headers.append(last)
            self.server_state.default_headers = [*self.server_state.default_headers, last]
        for connection in self.server_state.connections:
            cast(TellingProtocol, connection).take_leave(patience.idle)
        self._loop.call_later(notice, self._stop)

    def _stop(self) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes no new connections; goes on with those that there are until the last has ended."""
        for listening in (*self.servers, *(sockets or ())):
            listening.close()
        while self._has_to_wait():  # noqa: ASYNC110 -- uvicorn keeps connections in a set that tells nobody
            await asyncio.sleep(0.1)
        await super().shutdown(sockets)

    def _has_to_wait(self) -> bool:
        return bool(self.server_state.connections) and not self.force_exit and self._loop.time() < self._until


async def serve(
    app: FastAPI,
    listener: socket.socket,
    *,
    started: Callable[[], None],
    leaving: Callable[[], None] = lambda: None,
    fit: Callable[[], Awaitable[None]] | None = None,
    relieved_by: signal.Signals | None = None,
) -> None:
    """Serves on a bound socket until a signal ends it. Raises what the app's lifespan and `fit` raise.

    `fit` returns when requests may come, `started` is called when they do, `leaving` when that is about to
    end. The signal `relieved_by` says that another process has taken over.
    """
    with listener:
        stop_while_starting = threading.current_thread() is threading.main_thread()
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if stop_while_starting and task is not None:
            # A local engine takes a while to come up; it must not outlive a gateway stopped meanwhile.
            loop.add_signal_handler(signal.SIGTERM, task.cancel)
        async with app.router.lifespan_context(app):
            if fit is not None:
                await fit()
            if stop_while_starting:
                loop.remove_signal_handler(signal.SIGTERM)
            config = uvicorn.Config(
                app,
                http=TellingProtocol,
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,  # nobody here asks who the client is
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=_LAST_BREATH,
            )
            server = GatewayServer(config, app.state.readiness, started, leaving)
            if relieved_by is not None:
                loop.add_signal_handler(relieved_by, server.relieve)
            await server.serve(sockets=[listener])


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to an address but not yet listening: nobody waits in it while the gateway comes up."""
    listener = _socket(host)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def bind_for(workers: int, host: str, port: int) -> list[socket.socket]:
    """A socket for each of the workers, all bound to one address.

    Linux shares connections out among them. One whose worker ended keeps those that wait for the next.
    """
    first = bind(host, port)
    if workers == 1 or sys.platform != "linux":
        return [first] * workers
    # Only now is it known that nobody else listens there; with the option alone that would go unnoticed.
    port = first.getsockname()[1]
    first.close()
    listeners = []
    for _ in range(workers):
        listeners.append(_socket(host))
        listeners[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listeners[-1].bind((host, port))
    return listeners


def _socket(host: str) -> socket.socket:
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return opened
