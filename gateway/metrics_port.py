"""The port of /metrics: one that is asked for requests in turn, and one that waits for them by itself."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from selectors import EVENT_READ, DefaultSelector
from socketserver import ThreadingMixIn
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from gateway.errors import StartFailed


class Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are no news."""


class MetricsPort(WSGIServer):
    """Bound when it is made. Raises StartFailed where that can't be."""

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, handler: type[Silent] = Silent
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), handler)
        except OSError as error:
            raise StartFailed(
                f"Can't serve metrics on {host}:{port}: {error.strerror}; --metrics-port names another port."
            ) from error
        self.set_app(make_wsgi_app(registry))


class MetricsThread(ThreadingMixIn, MetricsPort):
    """A thread of its own waits at the port, so that a busy loop is still seen.

    It sleeps until somebody comes; `serve_forever` would look twice a second whether it is over.
    """

    daemon_threads = True
    timeout = 0  # of a request that was announced and is not there after all

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        super().__init__(host, port, registry)
        self._woken, self._waker = socket.socketpair()

    @contextmanager
    def serving(self) -> Iterator[int]:
        """Serves while the block runs; gives the port."""
        thread = Thread(target=self._serve, name="metrics", daemon=True)
        thread.start()
        try:
            yield self.server_port
        finally:
            self._waker.close()
            thread.join(timeout=5)
            self._woken.close()
            self.server_close()

    def _serve(self) -> None:
        with DefaultSelector() as selector:
            for waited_for in (self.socket, self._woken):
                selector.register(waited_for, EVENT_READ)
            while all(key.fileobj is self.socket for key, _ in selector.select()):
                self.handle_request()
