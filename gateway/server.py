"""Runs the app on uvicorn: httptools, one loop, and an end that lets requests finish."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import cast

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
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
            cast(Scope, cycle.scope)[Departure.__name__].happens()


class GatewayServer(uvicorn.Server):
    """SIGTERM ends readiness, `notice` seconds later new connections, then waits for requests in flight.

    In those seconds load balancers see /readyz fail while requests are still answered. SIGINT skips them.
    """

    def __init__(
        self, config: uvicorn.Config, readiness: Readiness, notice: float, when_started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._readiness = readiness
        self._notice = notice
        self._when_started = when_started
        self._loop = asyncio.get_running_loop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._when_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        again = self._readiness.draining
        self._readiness.draining = True
        if again and self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        if again or sig == signal.SIGINT or self._notice <= 0:
            self.should_exit = True
        else:
            # A signal interrupts anything, so the loop is told in the one way that is safe from here.
            self._loop.call_soon_threadsafe(self._loop.call_later, self._notice, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


async def serve(
    app: FastAPI,
    listener: socket.socket,
    *,
    started: Callable[[], None],
    notice: float = 2.0,
    drain_seconds: float = 120.0,
) -> None:
    """Serves on a bound socket until a signal ends it. Raises what the app's lifespan raises."""
    with listener:
        stop_while_starting = threading.current_thread() is threading.main_thread()
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if stop_while_starting and task is not None:
            # A local engine takes a while to come up; it must not outlive a gateway stopped meanwhile.
            loop.add_signal_handler(signal.SIGTERM, task.cancel)
        async with app.router.lifespan_context(app):
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
                # Longer than clients keep an idle connection, so that none is closed under a request.
                timeout_keep_alive=75,
                timeout_graceful_shutdown=int(drain_seconds),
            )
            server = GatewayServer(config, app.state.readiness, notice, started)
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
