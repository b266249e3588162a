"""The port of /metrics: a thread of its own waits there, so that a busy loop is still seen."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer


class MetricsPort(ThreadingWSGIServer):
    """Bound when it is made, which raises OSError where that can't be.

    It sleeps until somebody comes; `serve_forever` would look twice a second whether it is over.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Silent)
        self.set_app(make_wsgi_app(registry))
        self._over = False

    @contextmanager
    def serving(self) -> Iterator[int]:
        """Serves while the block runs; gives the port."""
        thread = Thread(target=self._serve, name="metrics", daemon=True)
        thread.start()
        try:
            yield self.server_port
        finally:
            self._over = True
            # Whoever comes wakes it; if nobody can, the thread ends with the process.
            with suppress(OSError):
                socket.create_connection(self.socket.getsockname()[:2], timeout=1).close()
            thread.join(timeout=5)
            self.server_close()

    def _serve(self) -> None:
        while not self._over:
            self.handle_request()


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are no news."""
