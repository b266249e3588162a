"""The gateway's paths. A request is read here, answered or refused here, and counted here."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from fastapi import APIRouter, Response
from starlette.types import Receive, Scope, Send

from engine.settings_access import CapSettings
from gateway.access.gate import Gate
from gateway.catalog import Catalog
from gateway.disconnect import ClientGone, WhileConnected
from gateway.errand import Understand
from gateway.errors import GatewayError, as_gateway_error
from gateway.exchange import CLIENT_CLOSED_REQUEST, Exchange, read_body
from gateway.exposed import ExposedModels
from gateway.limits.allowance import Allowance
from gateway.listing import as_json
from gateway.metrics import Metrics
from gateway.protocol import new_id
from gateway.students import Students
from gateway.terms import read_terms
from gateway.visit import OWN, Follower, Observer, Visit


@dataclass
class Readiness:
    """Whether this gateway wants requests; draining ends it for good."""

    draining: bool = False


@dataclass(frozen=True)
class Reception:
    """What every request passes on its way in and out, whichever path it asks."""

    metrics: Metrics
    caps: CapSettings
    observers: tuple[Observer, ...] = ()
    follower: Follower | None = None
    allowance: Allowance | None = None
    gate: Gate | None = None


class Endpoint:
    """A path that asks a model, as a plain ASGI endpoint: the hot path has no framework around it."""

    def __init__(self, understand: Understand, reception: Reception) -> None:
        self._understand = understand
        self._in_flight = reception.metrics.in_flight
        self._largest_body = reception.caps.body_bytes
        self._gate = reception.gate
        self._allowance = reception.allowance
        self._follower = reception.follower
        configured = tuple(it for it in (reception.allowance, reception.follower) if it is not None)
        self._observers: tuple[Observer, ...] = (reception.metrics, *reception.observers, *configured)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = Visit(scope["path"], scope["headers"], perf_counter())
        exchange = Exchange(send)
        if self._follower is not None:
            self._follower.begin(visit)
        self._in_flight.inc()
        try:
            if self._gate is not None:
                visit.caller = await self._gate.admit(visit.headers)
            visit.own = [header for header in visit.headers if header[0] in OWN]
            body = await read_body(receive, self._largest_body)
            errand = visit.errand = await self._understand(body, visit)
            visit.is_named(errand.id)
            terms = read_terms(visit.own, errand.account.student) if visit.own else None
            if self._allowance is not None:
                visit.grant = await self._allowance.reserve(visit.caller, errand, len(body))
                if visit.grant is not None:
                    exchange.standing = visit.grant.headers
            with WhileConnected(scope, receive):
                running = errand.run(exchange.send)
                ending = await (running if terms is None else terms.keep(running, visit.started))
            if isinstance(ending, bytes):
                await exchange.end(ending)
            else:
                await exchange.reply(200, ending.body, ending.headers)
        except ClientGone:
            exchange.status = CLIENT_CLOSED_REQUEST
        except Exception as error:  # noqa: BLE001 -- the request boundary
            if not visit.id:
                visit.is_named(new_id("req_"))
            visit.error = as_gateway_error(error)
            await _fail(exchange, visit.error, visit)
        finally:
            self._in_flight.dec()
            visit.status, visit.seconds = exchange.status, perf_counter() - visit.started
            for observer in self._observers:
                observer.finished(visit)


async def _fail(exchange: Exchange, error: GatewayError, visit: Visit) -> None:
    errand = visit.errand
    if errand is not None:
        errand.failed(error)
    if errand is not None and exchange.begun:
        await exchange.end(errand.error_events(error))
    else:
        about = errand.headers() if errand is not None else [(b"x-request-id", visit.id.encode())]
        await exchange.reply(error.status, error.body(), [*about, *error.headers()])
    exchange.status = error.status


def health_router(
    catalog: Catalog, exposed: ExposedModels, students: Students, readiness: Readiness
) -> APIRouter:
    """Whether this gateway is up, and whether it serves."""
    router = APIRouter()

    @router.get("/healthz", summary="Whether this process runs")
    async def healthz() -> Response:
        return as_json({"status": "ok"})

    @router.get("/readyz", summary="Whether a request would be served")
    async def readyz() -> Response:
        troubles = {**students.troubles(), **students.misfits(catalog.needed())}
        if readiness.draining:
            return as_json({"status": "draining", "students": troubles}, 503)
        if not catalog.ready() and not exposed.ready():
            return as_json({"status": "no model can be served", "students": troubles}, 503)
        return as_json({"status": "ready", "students": troubles})

    return router
