"""A reply that is handed on as it is: read only for what it cost, whose it is, and whether it is an error."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from engine.chat import Usage, error_message, read_usage
from engine.errors import EngineError, EngineReplyInvalid
from engine.waiting import Reading

if TYPE_CHECKING:
    from engine.client import EngineClient
    from engine.connection import Connection


class Passing:
    """A reply with status 200. `usage` is what the server has counted so far, None where it has not.

    Of a stream, `shown` is whether anything was handed on, `events` how many came. With `hides_usage` the
    event that holds nothing but the counts is kept from whoever did not ask for it.
    """

    def __init__(self, client: EngineClient, reply: Connection) -> None:
        self.usage: Usage | None = None
        self.events = 0
        self.hides_usage = False
        self.streams = reply.content_type == "text/event-stream"
        self._client = client
        self._reply = reply
        self.shown = self._begun = self._done = False

    async def whole(self) -> bytes:
        """A reply that is no stream. Raises EngineReplyInvalid for what is no JSON or an error after all."""
        data = await self._reply.read()
        body = self._client.body(data)
        if body.get("error"):
            said, _ = error_message(body)
            raise EngineReplyInvalid(
                f"The engine at {self._client.url} sent an error with status 200: {said}."
            )
        self._client.check_model(body.get("model"))
        self.usage = read_usage(body)
        return data

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Whole lines as soon as they are here; an error among the events is raised after those before it."""
        rest: list[bytes] = []
        phase: Reading = "first_byte"
        while data := await self._reply.some(phase):
            phase = "between"
            rest.append(data)
            if b"\n" not in data:
                continue
            *lines, last = b"".join(rest).split(b"\n")
            rest = [last]
            passed, failure = self._examined(lines)
            if passed:
                self.shown = True
                yield b"\n".join([*passed, b""])
            if failure is not None:
                raise failure
            if self._done:
                await self._reply.linger()
                return
        if last := b"".join(rest):
            self.shown = True
            yield last

    def _examined(self, lines: list[bytes]) -> tuple[list[bytes], EngineError | None]:
        """The lines up to an error, and the error if there is one; most events are not even parsed."""
        for number, line in enumerate(lines):
            payload = line[5:].strip() if line.startswith(b"data:") else b""
            self._done = self._done or payload == b"[DONE]"
            if not payload or self._done:
                continue
            self.events += 1
            if self._begun and b'"usage"' not in payload and b'"error"' not in payload:
                continue
            self._begun = True
            try:
                event = self._client.event(payload)
                self._client.check_model(event.get("model"))
            except EngineError as error:
                return lines[:number], error
            self.usage = read_usage(event) or self.usage
            if self.hides_usage and event.get("usage") and not event.get("choices"):
                lines[number] = b""
        return lines, None
