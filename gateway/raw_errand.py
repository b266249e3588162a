"""A request for an engine's own model: the body goes out and the reply comes back as they are, but for the
model's name there, a key's salt, and the counts that a stream is asked for on the gateway's behalf.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import orjson
from starlette.types import Send

from engine.errors import EngineRequestRefused, EngineUnreachable
from engine.hosted import HostedClient
from engine.passing import Passing
from engine.settings_access import CapSettings
from gateway.access.caller import check_model
from gateway.accounting.cost import MeteredStudent
from gateway.caps import read_request
from gateway.catalog import Catalog
from gateway.completion import Response, cost_headers, overhead_header
from gateway.errand import Account, Errand, Understand
from gateway.errors import GatewayError, Header, ModelUnknown, RequestInvalid, as_gateway_error
from gateway.exposed import ExposedModel, ExposedModels
from gateway.limits.appetite import Appetite, most_written, tokens_of
from gateway.program_errand import Programs
from gateway.protocol import new_id
from gateway.raw_body import check_raw_body, tokens_at_once, with_counts
from gateway.salt import salt_of
from gateway.streaming import STREAM_HEADERS, error_event
from gateway.visit import Visit

_OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
}
"""Path -> what OpenTelemetry's conventions call asking there."""


@dataclass(slots=True)
class RawErrand:
    """`written` is what an engine is sent at `path`, by what it calls the model."""

    id: str
    started: float
    path: str
    written: Callable[[str], bytes]
    exposed: ExposedModel
    models: ExposedModels
    student: MeteredStudent
    most_written: int
    hides_usage: bool = False
    """Whether the client did not ask for the counts at the end of its stream."""
    tokens_at_once: int = 1
    """How many tokens the engine was asked to send in one event."""

    @property
    def model(self) -> str:
        return self.exposed.name

    @property
    def account(self) -> Account:
        return Account(self.exposed.metrics, self.student)

    def appetite(self, size: int) -> Appetite:
        return Appetite(tokens_of(size), self.most_written)

    async def run(self, send: Send) -> Response | bytes:
        try:
            data = await self._pass_on(send)
        except EngineUnreachable:
            self.models.lost(self.exposed)
            raise
        except EngineRequestRefused as error:
            told = as_gateway_error(error)
            if error.said and told.status == 400:
                # The client wrote the engine's request itself, so it is the one who can mend it.
                told.message = f"The engine refused the request: {error.said}"
            raise told from error
        if data is None:
            return b""
        return Response(data, [*self.headers(), overhead_header(self.student, self.started)])

    def headers(self) -> list[Header]:
        paid = cost_headers(self.student) if self.student.calls else []
        return [(b"x-request-id", self.id.encode()), *paid]

    def failed(self, error: GatewayError) -> None:
        """Nothing is counted of a raw request that is not counted of all."""

    def error_events(self, error: GatewayError) -> bytes:
        return error_event(error)

    async def _pass_on(self, send: Send) -> bytes | None:
        """The reply; None of one that was streamed and is gone already."""
        student, model = self.student, self.student.asked.model
        assert not isinstance(model, HostedClient), "only models of servers are exposed"
        reply: Passing | None = None

        async def take(found: Passing) -> bytes | None:
            nonlocal reply
            reply = found
            found.hides_usage = self.hides_usage
            return await self._stream(found, send) if found.streams else await found.whole()

        mark, step = student.start(), student.step(0, (), {}, operation=_OPERATIONS[self.path])
        student.wait()
        try:
            return await model.pass_on(self.path, self.written, take)
        except BaseException as error:
            if step is not None:
                step.failed(error)
            raise
        finally:
            student.stop_waiting()
            usage = reply.usage if reply is not None else None
            if reply is not None and usage is None:
                student.seen = reply.events * self.tokens_at_once
            student.book(mark, usage, step)

    async def _stream(self, reply: Passing, send: Send) -> bytes | None:
        async with aclosing(reply.pieces()) as pieces:
            begun = False
            async for piece in pieces:
                self.student.stop_waiting()
                try:
                    if not begun:
                        begun = True
                        self.exposed.metrics.first_token_seconds.observe(perf_counter() - self.started)
                        headers = [*STREAM_HEADERS, (b"x-request-id", self.id.encode())]
                        await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                finally:
                    self.student.wait()
        return None


class RawRequests:
    """Understands requests for exposed models; names of releases are none of its own."""

    def __init__(
        self, models: ExposedModels, catalog: Catalog, caps: CapSettings, salt: bool = False
    ) -> None:
        self._salt = salt
        self._models = models
        self._catalog = catalog
        self._caps = caps

    def only(self, path: str) -> Understand:
        """For a path that programs are not asked at."""

        async def understand(data: bytes, visit: Visit) -> RawErrand:
            body = read_request(data, self._caps)
            check_model(visit.caller, body)
            model = body.get("model")
            if not isinstance(model, str):
                raise RequestInvalid(
                    "'model' must be a text.", param="model", code="missing_required_parameter"
                )
            if model not in self._models.names:
                raise self._unknown(model, visit)
            return await self._errand(path, data, body, visit)

        return understand

    def before(self, programs: Programs) -> Understand:
        """For chat completions, which go to a program unless they name an exposed model."""
        if not self._models.names:
            return programs.chat

        async def understand(data: bytes, visit: Visit) -> Errand:
            body = read_request(data, self._caps)
            model = body.get("model")
            if isinstance(model, str) and model in self._models.names:
                check_model(visit.caller, body)
                return await self._errand("/v1/chat/completions", data, body, visit)
            return programs.chat_of(body, visit)

        return understand

    async def _errand(self, path: str, data: bytes, body: dict[str, Any], visit: Visit) -> RawErrand:
        check_raw_body(body, self._caps)
        model = await self._models.find(body["model"])
        salt = salt_of(visit.caller, model.served) if self._salt else {}
        counted, hides_usage = with_counts(body)
        changed = bool(salt) or hides_usage

        def written(name: str) -> bytes:
            same = name == model.name and not changed
            return data if same else orjson.dumps({**counted, "model": name, **salt})

        student = MeteredStudent(model.asked(), None, tracer=visit.tracer)
        most = 0 if path == "/v1/embeddings" else most_written(body)
        id, at_once = new_id("req_"), tokens_at_once(body)
        return RawErrand(
            id, visit.started, path, written, model, self._models, student, most, hides_usage, at_once
        )

    def _unknown(self, model: str, visit: Visit) -> ModelUnknown:
        if model in self._catalog.models:
            told = f"{model!r} is a compiled program; it is asked at /v1/chat/completions or /v1/responses."
            return ModelUnknown(told, param="model")
        return self._catalog.unknown(model, visit.caller)
