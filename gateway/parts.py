"""What one gateway process is made of: built from the settings, opened and closed in their order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.settings import GatewaySettings, Settings
from gateway.access.gate import Gate
from gateway.access.opening import open_gate
from gateway.cache.opening import open_cache
from gateway.canary.watch import Watch
from gateway.catalog import Catalog
from gateway.errors import StartFailed
from gateway.executors import Bounds
from gateway.exposed import ExposedModels
from gateway.ladder import teachers_of
from gateway.limits.opening import open_allowance
from gateway.metrics import Metrics
from gateway.shared import Shared
from gateway.stores.opening import Stores
from gateway.students import Students
from gateway.telemetry.opening import open_traces
from gateway.traffic.opening import open_traffic
from gateway.warming import Warming

if TYPE_CHECKING:
    from gateway.cache.cache import ResponseCache
    from gateway.limits.allowance import Allowance
    from gateway.telemetry.traces import Traces
    from gateway.traffic.log import TrafficLog

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Intervals:
    """Seconds between two looks at the releases folder, and between two checks of a student."""

    catalog: float = 1.0
    student: float = 60.0


@dataclass(frozen=True)
class Parts:
    """All that lives longer than a request; what is None is not configured."""

    metrics: Metrics
    students: Students
    exposed: ExposedModels
    catalog: Catalog
    watch: Watch
    warming: Warming | None
    stores: Stores
    gate: Gate | None
    cache: ResponseCache | None
    traffic: TrafficLog | None
    allowance: Allowance | None
    traces: Traces | None


def parts_of(
    settings: Settings, shared: Shared | None, progress: Callable[[str], None], intervals: Intervals
) -> Parts:
    """The parts of this gateway, none of which runs yet. Raises StartFailed where a library is missing."""
    gateway = settings.gateway
    metrics = Metrics(shared.folder if shared is not None else None)
    students = Students(settings, metrics, progress, intervals.student, shared)
    exposed = ExposedModels(settings, students, metrics, intervals.student)
    bounds = Bounds(gateway.max_steps, gateway.max_seconds)
    catalog = Catalog(settings.releases, students, metrics, settings.tables, exposed.names, bounds)
    workers = shared.workers if shared is not None else 1
    stores = Stores(gateway.database)
    gate = open_gate(gateway, stores, metrics)
    with_keys = gate is not None
    return Parts(
        metrics,
        students,
        exposed,
        catalog,
        watch=Watch(catalog, metrics, settings.releases, shared),
        warming=Warming() if gateway.warm else None,
        stores=stores,
        gate=gate,
        cache=open_cache(gateway, metrics),
        traffic=open_traffic(gateway, stores, metrics, shared, with_keys=with_keys),
        allowance=open_allowance(settings, metrics, stores, workers=workers, with_keys=with_keys),
        traces=open_traces(gateway.telemetry),
    )


@asynccontextmanager
async def running(
    parts: Parts, settings: Settings, shared: Shared | None, seconds: float
) -> AsyncGenerator[None]:
    """Serves with these parts while the block runs, and looks at the releases every so many seconds.

    Raises:
        EngineError: a student can't be had.
        StartFailed: what is configured can't be used.
    """
    students, exposed, catalog = parts.students, parts.exposed, parts.catalog
    async with AsyncExitStack() as opened:
        opened.enter_context(_listener(parts.metrics, settings.gateway, shared))
        for part in (parts.stores, parts.traffic, parts.traces, parts.cache, parts.allowance):
            if part is not None:
                opened.push_async_callback(part.close)
        for kept in (parts.gate, parts.cache, parts.traffic):
            if kept is not None:
                await kept.open()
        await catalog.refresh()
        _check_names(catalog)
        if parts.allowance is not None:
            await parts.allowance.open({*catalog.models, *exposed.names})
        for asked in (students, exposed, parts.warming):
            if asked is not None:
                opened.push_async_callback(asked.close)
        if exposed.on_local_engine:
            students.want({settings.student})
        await students.first_tries()
        # A gateway without its teachers can serve all the same.
        students.want(teachers_of(settings.programs))
        await exposed.first_tries()
        await catalog.refresh()
        async with _kept_current(parts, seconds):
            yield


def _listener(
    metrics: Metrics, gateway: GatewaySettings, shared: Shared | None
) -> AbstractContextManager[object]:
    if shared is not None and shared.workers > 1:
        return nullcontext()
    return metrics.listener(gateway.metrics_host, gateway.metrics_port)


def _check_names(catalog: Catalog) -> None:
    if catalog.clashes:
        names = ", ".join(map(repr, catalog.clashes))
        raise StartFailed(
            f"{names} can't be exposed: a release in the releases folder has that name. Take it out of "
            "`expose`, or build the program under another name."
        )


@asynccontextmanager
async def _kept_current(parts: Parts, seconds: float) -> AsyncGenerator[None]:
    """Follows releases, canaries and students while the block runs."""
    keeper = asyncio.create_task(_keep_current(parts, seconds), name="catalog")
    keeper.add_done_callback(_report)
    try:
        yield
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper


async def _keep_current(parts: Parts, seconds: float) -> None:
    while True:
        await parts.watch.look()
        if parts.warming is not None:
            parts.warming.look(parts.catalog.models)
        await asyncio.sleep(seconds)
        parts.students.settle()
        await parts.catalog.refresh()


def _report(keeper: asyncio.Task[None]) -> None:
    if not keeper.cancelled():
        _log.critical("releases are no longer followed; restart the gateway", exc_info=keeper.exception())
