"""The port of /metrics: a thread of its own waits there, so that a busy loop is still seen."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from selectors import EVENT_READ, DefaultSelector
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer


class MetricsPort(ThreadingWSGIServer):
    """Bound when it is made, which raises OSError where that can't be.

    It sleeps until somebody comes; `serve_forever` would look twice a second whether it is over.
    """

    timeout = 0  # of a request that was announced and is not there after all

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Silent)
        self.set_app(make_wsgi_app(registry))
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


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are no news."""
