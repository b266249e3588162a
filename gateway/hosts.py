"""Keeps out requests that were meant for a host of another name, which a page of the web may point here."""

from __future__ import annotations

from collections.abc import Collection

from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send


class OwnHosts:
    """Starlette's middleware, but out of the way of requests that name a host plainly."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._check = TrustedHostMiddleware(app, allowed_hosts=list(hosts), www_redirect=False)
        self._plain = frozenset(host.encode() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._app if self._is_plain(scope) else self._check)(scope, receive, send)

    def _is_plain(self, scope: Scope) -> bool:
        if scope["type"] != "http":
            return False
        said = next((value for name, value in scope["headers"] if name == b"host"), b"")
        host, colon, port = said.partition(b":")
        return host in self._plain and (port.isdigit() or not colon)
