"""Builds the gateway: one FastAPI app whose lifespan owns everything that lives longer than a request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial

from fastapi import FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.routing import Route

from engine.settings import LOOPBACK, GatewaySettings, Settings
from gateway.access.opening import admins, open_gate
from gateway.cache.opening import open_cache
from gateway.canary.watch import Watch
from gateway.catalog import Catalog
from gateway.cors import CrossOrigin
from gateway.errors import GatewayError, RouteUnknown, StartFailed, as_gateway_error
from gateway.executors import Bounds
from gateway.exposed import ExposedModels
from gateway.hosts import OwnHosts
from gateway.ladder import ladders_of, teachers_of
from gateway.limits.opening import open_allowance
from gateway.listing import listing_router
from gateway.lmstudio_listing import lmstudio_router
from gateway.logs import REQUEST
from gateway.metrics import Metrics
from gateway.openapi import openapi_with_models
from gateway.program_errand import Programs, Rules
from gateway.protocol import new_id
from gateway.raw_errand import RawRequests
from gateway.request_log import RequestLog, log_refusal
from gateway.routes import Endpoint, Readiness, Reception, health_router
from gateway.shared import Shared
from gateway.shortcut import FastAPIWithShortcut
from gateway.stores.opening import Stores
from gateway.students import Students
from gateway.telemetry.opening import open_traces
from gateway.traffic.opening import feedback_routers, open_traffic
from gateway.warming import Warming

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Intervals:
    """Seconds between two looks at the releases folder, and between two checks of a student."""

    catalog: float = 1.0
    student: float = 60.0


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
    metrics = Metrics(shared.folder if shared is not None else None)
    students = Students(settings, metrics, progress, intervals.student, shared)
    exposed = ExposedModels(settings, students, metrics)
    bounds = Bounds(settings.gateway.max_steps, settings.gateway.max_seconds)
    catalog = Catalog(settings.releases, students, metrics, settings.tables, exposed.names, bounds)
    watch = Watch(catalog, metrics, settings.releases)
    readiness = Readiness()
    warming = Warming() if settings.gateway.warm else None
    workers = shared.workers if shared is not None else 1
    stores = Stores(settings.gateway.database)
    gate = open_gate(settings.gateway, stores)
    cache = open_cache(settings.gateway, metrics)
    traffic = open_traffic(settings.gateway, stores, metrics, shared, with_keys=gate is not None)
    allowance = open_allowance(settings, metrics, stores, workers=workers, with_keys=gate is not None)
    traces = open_traces(settings.gateway.telemetry)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        with _listener(metrics, settings.gateway, shared):
            if gate is not None:
                await gate.open()
            if cache is not None:
                await cache.open()
            if traffic is not None:
                await traffic.open()
            await catalog.refresh()
            _check_names(catalog)
            if allowance is not None:
                await allowance.open({*catalog.models, *exposed.names})
            keeper: asyncio.Task[None] | None = None
            try:
                if exposed.on_local_engine:
                    students.want({settings.student})
                await students.first_tries()
                # A gateway without its teachers can serve all the same.
                students.want(teachers_of(settings.programs))
                await exposed.first_tries()
                await catalog.refresh()
                keeper = asyncio.create_task(
                    _keep_current(catalog, students, warming, watch, intervals.catalog), name="catalog"
                )
                keeper.add_done_callback(_report)
                async with admins(settings.gateway, gate, _ANSWERS):
                    yield
            finally:
                if keeper is not None:
                    keeper.cancel()
                    with suppress(asyncio.CancelledError):
                        await keeper
                if warming is not None:
                    await warming.close()
                await exposed.close()
                await students.close()
                if allowance is not None:
                    await allowance.close()
                if cache is not None:
                    await cache.close()
                if traces is not None:
                    await traces.close()
                if traffic is not None:
                    await traffic.close()
                await stores.close()

    app = FastAPIWithShortcut(
        title="Smallforge gateway", lifespan=lifespan, redirect_slashes=False, telemetry=_NOT_FASTAPIS_OWN
    )
    app.state.readiness = readiness
    app.state.catalog = catalog
    app.state.exposed = exposed
    app.state.metrics = metrics
    app.state.gate = gate
    caps = settings.gateway.caps
    raw = RawRequests(exposed, catalog, caps)
    ladders = ladders_of(settings.programs, students, metrics)
    rules = Rules(settings.gateway.strict, settings.gateway.trace, settings.gateway.constrain, ladders)
    programs = Programs(catalog, caps, rules, cache)
    observers = (RequestLog(every=settings.gateway.access_log), watch, *filter(None, [traffic]))
    asking = _asking(raw, programs, Reception(metrics, caps, observers, traces, allowance, gate))
    # For other methods than POST, and for whoever lists what paths there are.
    app.router.routes[:0] = [Route(path, endpoint, methods=["POST"]) for path, endpoint in asking.items()]
    app.include_router(listing_router(catalog, exposed))
    app.include_router(lmstudio_router(catalog, exposed))
    app.include_router(health_router(catalog, exposed, students, readiness))
    for router in feedback_routers(traffic, catalog, settings.gateway):
        app.include_router(router)
    app.openapi = partial(openapi_with_models, app)  # type: ignore[method-assign]
    for kind, answer in _ANSWERS.items():
        app.add_exception_handler(kind, answer)
    _keep_out(app, settings.gateway)
    app.shorten(asking)
    return app


def _listener(
    metrics: Metrics, gateway: GatewaySettings, shared: Shared | None
) -> AbstractContextManager[object]:
    if shared is not None and shared.workers > 1:
        return nullcontext()
    return metrics.listener(gateway.metrics_host, gateway.metrics_port)


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


def _check_names(catalog: Catalog) -> None:
    if catalog.clashes:
        names = ", ".join(map(repr, catalog.clashes))
        raise StartFailed(
            f"{names} can't be exposed: a release in the releases folder has that name. Take it out of "
            "`expose`, or build the program under another name."
        )


async def _keep_current(
    catalog: Catalog, students: Students, warming: Warming | None, watch: Watch, seconds: float
) -> None:
    while True:
        await watch.look()
        if warming is not None:
            warming.look(catalog.models)
        await asyncio.sleep(seconds)
        students.settle()
        await catalog.refresh()


def _report(keeper: asyncio.Task[None]) -> None:
    if not keeper.cancelled():
        _log.critical("releases are no longer followed; restart the gateway", exc_info=keeper.exception())


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
    text = f"{request.method} {path!r}: {error.detail}; the page /docs lists the paths of this gateway."
    answer = await _answer_error(request, RouteUnknown(text, error.status_code))
    # With 405 come the methods that the path has.
    answer.headers.update(error.headers or {})
    return answer


_ANSWERS: Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    GatewayError: _answer_error,
    HTTPException: _answer_http_error,
}
