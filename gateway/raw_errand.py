"""A request for an engine's own model: the body goes out as it is but for the model's name, the reply comes
back as it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import orjson
from starlette.types import Send

from engine.errors import EngineRequestRefused, EngineUnreachable
from engine.passing import Passing
from gateway.accounting.cost import MeteredStudent
from gateway.catalog import Catalog
from gateway.completion import Response
from gateway.errand import Account, Understand
from gateway.errors import GatewayError, Header, ModelUnknown, RequestInvalid, as_gateway_error
from gateway.exposed import ExposedModel, ExposedModels
from gateway.program_errand import Programs
from gateway.protocol import read_object
from gateway.streaming import error_event

_STREAM: list[Header] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(slots=True)
class RawErrand:
    """`data` is what the engine is sent at `path`."""

    id: bytes
    started: float
    path: str
    data: bytes
    model: ExposedModel
    models: ExposedModels
    student: MeteredStudent

    @property
    def account(self) -> Account:
        return Account(self.model.metrics, self.student)

    async def run(self, send: Send) -> Response | bytes:
        try:
            data = await self._pass_on(send)
        except EngineUnreachable:
            self.models.lost(self.model)
            raise
        except EngineRequestRefused as error:
            told = as_gateway_error(error)
            if error.said and told.status == 400:
                # The client wrote the engine's request itself, so it is the one who can mend it.
                told.message = f"The engine refused the request: {error.said}"
            raise told from error
        if data is None:
            return b""
        overhead = max(0.0, perf_counter() - self.started - self.student.seconds)
        return Response(data, [*self.headers(), (b"x-smallforge-overhead-ms", b"%.3f" % (overhead * 1000))])

    def headers(self) -> list[Header]:
        usd = self.student.usd if self.student.calls else None
        paid = [] if usd is None else [(b"x-smallforge-cost-usd", b"%.12f" % usd)]
        return [(b"x-request-id", self.id), *paid]

    def failed(self, error: GatewayError) -> None:
        """Nothing is counted of a raw request that is not counted of all."""

    def error_events(self, error: GatewayError) -> bytes:
        return error_event(error)

    async def _pass_on(self, send: Send) -> bytes | None:
        """The reply; None of one that was streamed and is gone already."""
        student = self.student
        reply: Passing | None = None
        mark = student.start()
        student.wait()
        try:
            async with self.model.client.passing(self.path, self.data) as reply:
                if not reply.streams:
                    return await reply.whole()
                await self._stream(reply, send)
                return None
        finally:
            student.stop_waiting()
            student.book(mark, reply.usage if reply is not None else None)

    async def _stream(self, reply: Passing, send: Send) -> None:
        async with aclosing(reply.pieces()) as pieces:
            begun = False
            async for piece in pieces:
                self.student.stop_waiting()
                try:
                    if not begun:
                        begun = True
                        self.model.metrics.first_token_seconds.observe(perf_counter() - self.started)
                        await send({"type": "http.response.start", "status": 200, "headers": self._begin()})
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                finally:
                    self.student.wait()

    def _begin(self) -> list[Header]:
        return [*_STREAM, (b"x-request-id", self.id)]


class RawRequests:
    """Understands requests for exposed models; names of releases are none of its own."""

    def __init__(self, models: ExposedModels, catalog: Catalog) -> None:
        self._models = models
        self._catalog = catalog

    def only(self, path: str) -> Understand:
        """For a path that programs are not asked at."""

        async def understand(data: bytes, headers: Sequence[Header], started: float) -> RawErrand:
            body = read_object(data)
            model = body.get("model")
            if not isinstance(model, str):
                raise RequestInvalid(
                    "'model' must be a text.", param="model", code="missing_required_parameter"
                )
            if model not in self._models.names:
                raise self._unknown(model)
            return await self._errand(path, data, body, started)

        return understand

    def before(self, programs: Programs) -> Understand:
        """For chat completions, which go to a program unless they name an exposed model."""
        if not self._models.names:
            return programs.chat

        async def understand(data: bytes, headers: Sequence[Header], started: float) -> Any:
            try:
                body = orjson.loads(data)
            except orjson.JSONDecodeError:
                body = None
            model = body.get("model") if isinstance(body, dict) else None
            if isinstance(model, str) and model in self._models.names:
                return await self._errand("/v1/chat/completions", data, body, started)
            return await programs.chat(data, headers, started)

        return understand

    async def _errand(self, path: str, data: bytes, body: dict[str, Any], started: float) -> RawErrand:
        model = await self._models.find(body["model"])
        if model.client.model != model.name:
            data = orjson.dumps({**body, "model": model.client.model})
        request_id = b"req_" + os.urandom(12).hex().encode()
        return RawErrand(
            request_id, started, path, data, model, self._models, MeteredStudent(model.served, None)
        )

    def _unknown(self, model: str) -> ModelUnknown:
        if model in self._catalog.models:
            told = f"{model!r} is a compiled program; it is asked at /v1/chat/completions or /v1/responses."
            return ModelUnknown(told, param="model")
        return self._catalog.unknown(model)
