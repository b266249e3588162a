"""Builds the gateway: one FastAPI app whose lifespan owns everything that lives longer than a request."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.routing import Route

from engine.settings import LOOPBACK, GatewaySettings, Settings
from gateway.access.opening import admins
from gateway.cors import CrossOrigin
from gateway.errors import GatewayError, RouteUnknown, as_gateway_error
from gateway.hosts import OwnHosts
from gateway.ladder import ladders_of
from gateway.listing import listing_router
from gateway.lmstudio_listing import lmstudio_router
from gateway.logs import REQUEST
from gateway.openapi import openapi_with_models
from gateway.parts import Intervals, Parts, parts_of, running
from gateway.program_errand import Programs, Rules
from gateway.protocol import new_id
from gateway.raw_errand import RawRequests
from gateway.request_log import RequestLog, log_refusal
from gateway.routes import Endpoint, Readiness, Reception, health_router
from gateway.shared import Shared
from gateway.shortcut import FastAPIWithShortcut
from gateway.traffic.opening import feedback_routers

_log = logging.getLogger(__name__)

# What FastAPI would record of a request may hold its body.
_NOT_FASTAPIS_OWN = TelemetryConfig(tracing=False, metrics=False, logs=False, auto_configure=False)
_INTERVALS = Intervals()


def create_app(
    settings: Settings,
    *,
    shared: Shared | None = None,
    progress: Callable[[str], None] = _log.info,
    intervals: Intervals = _INTERVALS,
) -> FastAPI:
    """The gateway for these settings; nothing runs before its lifespan does.

    `shared` is what this worker has in common with others, whose metrics are served by who started them;
    `progress` is told how a local engine comes up. The lifespan raises EngineError when a student can't be
    had, and StartFailed when the port of the metrics is taken or a model can't be exposed.
    """
    parts, gateway = parts_of(settings, shared, progress, intervals), settings.gateway
    catalog, exposed, students = parts.catalog, parts.exposed, parts.students
    readiness = Readiness()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with (
            running(parts, settings, shared, intervals.catalog),
            admins(gateway, parts.gate, _ANSWERS, shared.admins if shared is not None else None),
        ):
            yield

    app = FastAPIWithShortcut(
        title="Smallforge gateway", lifespan=lifespan, redirect_slashes=False, telemetry=_NOT_FASTAPIS_OWN
    )
    app.state.readiness = readiness
    app.state.catalog = catalog
    app.state.exposed = exposed
    app.state.metrics = parts.metrics
    app.state.gate = parts.gate
    raw = RawRequests(exposed, catalog, gateway.caps, gateway.cache_salt)
    ladders = ladders_of(settings.programs, students, parts.metrics)
    rules = Rules(gateway.strict, gateway.trace, gateway.constrain, ladders, gateway.cache_salt)
    programs = Programs(catalog, gateway.caps, rules, parts.cache)
    asking = _asking(raw, programs, _reception(parts, gateway))
    # For other methods than POST, and for whoever lists what paths there are.
    app.router.routes[:0] = [Route(path, endpoint, methods=["POST"]) for path, endpoint in asking.items()]
    app.include_router(listing_router(catalog, exposed))
    app.include_router(lmstudio_router(catalog, exposed))
    app.include_router(health_router(catalog, exposed, students, readiness))
    for router in feedback_routers(parts.traffic, catalog, gateway, parts.allowance):
        app.include_router(router)
    app.openapi = partial(openapi_with_models, app)  # type: ignore[method-assign]
    for kind, answer in _ANSWERS.items():
        app.add_exception_handler(kind, answer)
    _keep_out(app, gateway)
    app.shorten(asking)
    return app


def _reception(parts: Parts, gateway: GatewaySettings) -> Reception:
    logged = () if parts.traffic is None else (parts.traffic,)
    observers = (RequestLog(every=gateway.access_log), parts.watch, *logged)
    return Reception(parts.metrics, gateway.caps, observers, parts.traces, parts.allowance, parts.gate)


def _asking(raw: RawRequests, programs: Programs, reception: Reception) -> Mapping[str, Endpoint]:
    """The paths that ask a model: OpenAI's, and LM Studio's for the same."""
    chat = raw.before(programs)
    completions, embeddings = raw.only("/v1/completions"), raw.only("/v1/embeddings")
    asked = {
        "/v1/chat/completions": chat,
        "/v1/responses": programs.responses,
        "/v1/completions": completions,
        "/v1/embeddings": embeddings,
        "/api/v0/chat/completions": chat,
        "/api/v0/completions": completions,
        "/api/v0/embeddings": embeddings,
    }
    return {path: Endpoint(understand, reception) for path, understand in asked.items()}


def _keep_out(app: FastAPI, gateway: GatewaySettings) -> None:
    """Pages that the operator did not name read nothing; strange names of this machine are not answered."""
    if gateway.allow_origins:
        app.add_middleware(CrossOrigin, origins=gateway.allow_origins, credentials=gateway.allow_credentials)
    if gateway.host in LOOPBACK:
        # A page on the web may point its own host name at this machine.
        app.add_middleware(OwnHosts, hosts=[*LOOPBACK, "[::1]"])


async def _answer_error(request: Request, error: Exception) -> Response:
    id = new_id("req_")
    REQUEST.set(id)
    found = as_gateway_error(error)
    log_refusal(request.scope["path"][:80], found)
    headers = {"x-request-id": id} | {name.decode(): value.decode() for name, value in found.headers()}
    return Response(found.body(), found.status, headers, "application/json")


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for this class only"
    path = request.scope["path"][:80]
    page = request.app.docs_url
    listed = f"; the page {page} lists the paths of this gateway" if page else ""
    text = f"{request.method} {path!r}: {error.detail}{listed}."
    answer = await _answer_error(request, RouteUnknown(text, error.status_code))
    # With 405 come the methods that the path has.
    answer.headers.update(error.headers or {})
    return answer


_ANSWERS: Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    GatewayError: _answer_error,
    HTTPException: _answer_http_error,
}
