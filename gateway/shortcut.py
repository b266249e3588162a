"""The way of the paths that have to be fast: past the framework, to their endpoints.

What the operator put before all paths, such as the check of host names, they pass as all others do.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send


class FastAPIWithShortcut(FastAPI):
    """An app whose POSTs for some paths go to their endpoints at once, and all else as ever."""

    _endpoints: Mapping[str, ASGIApp] = {}

    def shorten(self, endpoints: Mapping[str, ASGIApp]) -> None:
        """Opens the shortcut to endpoints that answer their own errors; what is before all paths is added."""
        self._endpoints = {path: self._guarded(endpoint) for path, endpoint in endpoints.items()}

    def _guarded(self, app: ASGIApp) -> ASGIApp:
        for cls, args, options in reversed(self.user_middleware):
            app = cls(app, *args, **options)
        return app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fast = scope["type"] == "http" and scope["method"] == "POST"
        endpoint = self._endpoints.get(scope["path"]) if fast else None
        await (super().__call__ if endpoint is None else endpoint)(scope, receive, send)
