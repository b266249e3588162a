"""The gateway's paths. A request is read here, answered or refused here, and counted here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from fastapi import APIRouter, Response
from starlette.types import Receive, Scope, Send

from gateway.accounting.cost import MeteredStudent
from gateway.catalog import Catalog
from gateway.completion import Call, complete
from gateway.disconnect import ClientGone, WhileConnected
from gateway.errors import (
    BodyTooLarge,
    CheckBroken,
    GatewayError,
    Header,
    OutputInvalid,
    as_gateway_error,
)
from gateway.listing import as_json
from gateway.metrics import Metrics
from gateway.protocol import new_completion_id, read_request
from gateway.streaming import error_event, stream
from gateway.students import Students

CLIENT_CLOSED_REQUEST = 499


@dataclass(frozen=True)
class Limits:
    """What one request may bring. A window of 128k tokens is about half a MiB of English text."""

    body_bytes: int = 4 * 1024 * 1024
    messages: int = 2_000


@dataclass
class Readiness:
    """Whether this gateway wants requests; draining ends it for good."""

    draining: bool = False


class ChatCompletions:
    """`POST /v1/chat/completions` as a plain ASGI endpoint: the hot path has no framework around it."""

    def __init__(self, catalog: Catalog, metrics: Metrics, limits: Limits, strict: bool) -> None:
        self._catalog = catalog
        self._metrics = metrics
        self._limits = limits
        self._strict = strict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        exchange = Exchange(send)
        call: Call | None = None
        self._metrics.in_flight.inc()
        try:
            request = read_request(await _body(receive, self._limits.body_bytes), self._limits.messages)
            runnable, served, student = self._catalog.find(request.model)
            metered = MeteredStudent(student, request.max_tokens)
            call = Call(new_completion_id(), started, request, runnable, served, metered)
            if request.stream:
                with WhileConnected(receive):
                    ending = await stream(call, exchange.send, self._strict)
                await exchange.end(ending)
            else:
                with WhileConnected(receive):
                    reply = await complete(call, self._strict)
                await exchange.reply(200, reply.body, reply.headers)
        except ClientGone:
            exchange.status = CLIENT_CLOSED_REQUEST
        except Exception as error:  # noqa: BLE001 -- the request boundary
            await self._fail(exchange, as_gateway_error(error), call)
        finally:
            self._metrics.in_flight.dec()
            self._account(exchange.status, call, started)

    async def _fail(self, exchange: Exchange, error: GatewayError, call: Call | None) -> None:
        if error.reason is not None:
            self._metrics.upstream_errors.labels(error.reason).inc()
        if isinstance(error, OutputInvalid) and call is not None:
            metrics, broken = call.runnable.metrics, isinstance(error, CheckBroken)
            (metrics.check_failures if broken else metrics.parse_failures).inc()
            call.count_retries(error.retries + 1)
        if exchange.begun:
            await exchange.end(error_event(error))
        else:
            about = call.headers() if call else []
            paid = call.cost_headers() if call and call.student.calls else []
            await exchange.reply(error.status, error.body(), [*about, *paid, *error.headers()])
        exchange.status = error.status

    def _account(self, status: int, call: Call | None, started: float) -> None:
        if call is None:
            self._metrics.requests.labels("unknown", "", str(status)).inc()
            return
        call.runnable.metrics.book(
            status, perf_counter() - started, call.student, call.runnable.measured.teacher_usd_per_answer
        )


class Exchange:
    """The sending half of one request; knows whether a status has gone out."""

    __slots__ = ("_send", "begun", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False
        self.status = 500

    async def send(self, message: Any) -> None:
        if not self.begun:
            self.begun, self.status = True, message["status"]
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


async def _body(receive: Receive, largest: int) -> bytes:
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


def health_router(catalog: Catalog, students: Students, readiness: Readiness) -> APIRouter:
    """Whether this gateway is up, and whether it serves."""
    router = APIRouter()

    @router.get("/healthz", summary="Whether this process runs")
    async def healthz() -> Response:
        return as_json({"status": "ok"})

    @router.get("/readyz", summary="Whether a request would be served")
    async def readyz() -> Response:
        troubles = dict(students.troubles())
        if readiness.draining:
            return as_json({"status": "draining", "students": troubles}, 503)
        if not catalog.ready():
            return as_json({"status": "no release can be served", "students": troubles}, 503)
        return as_json({"status": "ready", "students": troubles})

    return router
