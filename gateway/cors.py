"""Lets pages of allowed origins read the gateway's answers.

Only requests that a browser sent from a page carry an Origin; all others pass by at the cost of looking for
that header.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

# What a page may read beside the body.
_READABLE = (
    "x-request-id",
    "x-smallforge-release",
    "x-smallforge-cost-usd",
    "x-smallforge-overhead-ms",
    "x-smallforge-ignored",
    "x-smallforge-rung",
    "x-should-retry",
    "retry-after",
)


class CrossOrigin:
    """Starlette's middleware, but out of the way of requests that come from no page."""

    def __init__(self, app: ASGIApp, origins: Collection[str], credentials: bool) -> None:
        self._app = app
        self._for_pages = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            allow_credentials=credentials,
            # A page of the open web that the operator named may reach this machine; any page may not.
            allow_private_network="*" not in origins,
            expose_headers=_READABLE,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from_page = scope["type"] == "http" and any(name == b"origin" for name, _ in scope["headers"])
        await (self._for_pages if from_page else self._app)(scope, receive, send)
