"""The way of the paths that have to be fast: past the router and what stands before it, to their endpoints.

What the operator put before all paths, such as the check of host names, they pass as all others do.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class Shortcut:
    """Leads a POST for one of the paths to its endpoint, and all else on."""

    def __init__(self, app: ASGIApp, endpoints: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fast = scope["type"] == "http" and scope["method"] == "POST"
        endpoint = self._endpoints.get(scope["path"]) if fast else None
        await (self._app if endpoint is None else endpoint)(scope, receive, send)
