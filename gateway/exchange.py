"""The two halves of one HTTP exchange as ASGI has them: a body that is read, an answer that is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.types import Receive, Send

from gateway.disconnect import ClientGone
from gateway.errors import BodyTooLarge, Header

CLIENT_CLOSED_REQUEST = 499


class Exchange:
    """The sending half of one request; knows whether a status has gone out.

    `standing` are headers that every answer has from now on, whatever becomes of the request.
    """

    __slots__ = ("_send", "begun", "standing", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False
        self.status = 500
        self.standing: Sequence[Header] = ()

    async def send(self, message: Any) -> None:
        if not self.begun:
            self.begun, self.status = True, message["status"]
            if self.standing:
                message["headers"] = [*message["headers"], *self.standing]
        await self._send(message)

    async def reply(self, status: int, body: bytes, headers: Sequence[Header]) -> None:
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *headers,
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def end(self, events: bytes) -> None:
        await self.send({"type": "http.response.body", "body": events})


async def read_body(receive: Receive, largest: int) -> bytes:
    """The request's whole body. Raises BodyTooLarge, and ClientGone when nobody waits any more."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > largest:
            raise BodyTooLarge(f"The body is larger than {largest} bytes, the most this gateway reads.")
        if not message.get("more_body", False):
            return part if not parts else b"".join([*parts, part])
        parts.append(part)
