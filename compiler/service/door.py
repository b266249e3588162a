"""Who may come in: the holder of the admin key, or anybody on this machine where there is none.

A page of another site can make a browser send requests here, and another site's name can be made to mean this
machine. Neither gets in: the first is known by its origin, the second by the name that was asked for.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from compiler.service.errors import Forbidden, ServiceError, Unauthorised, UploadTooLarge
from engine.settings import LOOPBACK

COOKIE = "smallforge_console"
OPEN_TO_ALL = ("/login", "/static/", "/healthz")
_AROUND_A_FILE = 65_536  # bytes: the other fields of a form
_READING = ("GET", "HEAD", "OPTIONS")
Refuse = Callable[[ServiceError], Response]


def new_key() -> tuple[str, str]:
    """A fresh admin key, and the digest of it that goes into the configuration."""
    key = f"sfa-{secrets.token_urlsafe(32)}"
    return key, digest_of(key)


def digest_of(key: str) -> str:
    # The key is 256 random bits, so nothing is gained by a slow digest.
    return hashlib.sha256(key.encode()).hexdigest()


class Session:
    """What the browser keeps instead of the key: a token that only the holder of the key can have been given.

    It holds until another key is configured, or the browser forgets it.
    """

    def __init__(self, digest: str) -> None:
        self._digest = digest

    def is_key(self, key: str) -> bool:
        return hmac.compare_digest(digest_of(key), self._digest)

    @property
    def token(self) -> str:
        return hmac.new(self._digest.encode(), b"console session", hashlib.sha256).hexdigest()

    def is_token(self, token: str) -> bool:
        return hmac.compare_digest(token, self.token)


class Door:
    """Stands before the application; pure ASGI, so that streams pass as they come."""

    def __init__(self, app: ASGIApp, session: Session | None, refuse: Refuse, most_mb: int) -> None:
        self._app, self._session, self._refuse, self._most_mb = app, session, refuse, most_mb

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._check_names(scope, headers)
            self._check_key(scope, headers)
            self._check_size(headers)
        except Unauthorised as error:
            answer = self._refuse(error) if scope["path"].startswith("/api/") else _to_login(scope)
            await answer(scope, receive, send)
        except ServiceError as error:
            await self._refuse(error)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check_names(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "")
        if self._session is None and _name_of(host) not in LOOPBACK:
            raise Forbidden(
                f"This server is for its own machine: ask for it as 127.0.0.1 or localhost, not {host!r}."
            )
        if scope["method"] in _READING:
            return
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if (origin is not None and urlsplit(origin).netloc != host) or site in ("cross-site", "same-site"):
            raise Forbidden("A page of another site may not ask this server to do anything.")

    def _check_key(self, scope: Scope, headers: Headers) -> None:
        session, path = self._session, scope["path"]
        if session is None or any(
            path == one or (one[-1] == "/" and path.startswith(one)) for one in OPEN_TO_ALL
        ):
            return
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and session.is_key(key.strip()):
            return
        if session.is_token(cookie_parser(headers.get("cookie", "")).get(COOKIE, "")):
            return
        raise Unauthorised(
            "The admin key is missing or is not the right one: send it as 'Authorization: Bearer KEY'."
        )

    def _check_size(self, headers: Headers) -> None:
        """By what the request says of itself, before anything of it is read."""
        if "transfer-encoding" in headers:
            raise UploadTooLarge("A request has to say how long it is.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._most_mb * 1_048_576 + _AROUND_A_FILE:
            raise UploadTooLarge(f"A request may have {self._most_mb} MB at most.")


def _name_of(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""


def _to_login(scope: Scope) -> Response:
    return RedirectResponse(f"/login?next={scope['path']}", 303)
