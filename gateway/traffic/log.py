"""The traffic log of one gateway: is told of every request, and runs what works behind them."""

from __future__ import annotations

import asyncio
import logging

from engine.settings_traffic import TrafficSettings
from gateway.metrics import Metrics
from gateway.stores.database import Database
from gateway.traffic.entry import entry_of
from gateway.traffic.metrics import TrafficMetrics
from gateway.traffic.redaction import Redaction
from gateway.traffic.retention import keep_sweeping
from gateway.traffic.store import TrafficStore
from gateway.traffic.writer import TrafficWriter
from gateway.visit import Visit

_log = logging.getLogger(__name__)


class TrafficLog:
    """Keeps what its senders agreed to: a key's holder, or who runs a gateway without keys."""

    def __init__(
        self, settings: TrafficSettings, database: Database, metrics: Metrics, sweeps: bool = True
    ) -> None:
        """`sweeps` is whether this worker deletes what is old. Raises StartFailed for unusable patterns."""
        self.metrics = TrafficMetrics(metrics)
        self.redaction = Redaction(settings.patterns)
        self.store = TrafficStore(database)
        self.writer = TrafficWriter(self.store, self.redaction, self.metrics)
        self._without_key = settings.log
        self._days = settings.retention_days if sweeps else None
        self._sweeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Raises StartFailed."""
        await self.store.open()
        self.writer.start()
        if self._days is not None:
            sweeping = keep_sweeping(self.store, self.metrics, self._days)
            self._sweeper = asyncio.create_task(sweeping, name="retention")

    async def close(self) -> None:
        """Writes what is still to be written; requests must be over by now."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        await self.writer.close()

    def finished(self, visit: Visit) -> None:
        agreed = self._without_key if visit.caller is None else visit.caller.traffic
        if not agreed:
            return
        try:
            entry = entry_of(visit)
        except (TypeError, ValueError, RecursionError) as error:
            self.metrics.lost.labels("unreadable").inc()
            _log.error("%s is not in the traffic log: %s", visit.id, type(error).__name__)
            return
        if entry is not None:
            self.writer.put(entry)
