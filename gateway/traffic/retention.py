"""Deletes from the traffic log what is older than the operator keeps it, again and again."""

from __future__ import annotations

import asyncio
import logging
import time

from gateway.errors import StoreUnavailable
from gateway.traffic.metrics import TrafficMetrics
from gateway.traffic.store import TrafficStore

_log = logging.getLogger(__name__)
_DAY = 86_400.0
_EVERY = 600.0  # seconds between two sweeps: what a day or a month is does not hang on minutes
_BREATH = 0.05  # seconds between two deletions, in which others write


async def keep_sweeping(store: TrafficStore, metrics: TrafficMetrics, days: float) -> None:
    while True:
        try:
            await sweep(store, metrics, days)
        except StoreUnavailable:  # the database has logged why
            pass
        await asyncio.sleep(_EVERY)


async def sweep(store: TrafficStore, metrics: TrafficMetrics, days: float) -> None:
    """Raises StoreUnavailable."""
    total = 0
    while deleted := await store.sweep(time.time() - days * _DAY):
        total += deleted
        await asyncio.sleep(_BREATH)
    if total:
        metrics.swept.inc(total)
        _log.info("deleted %d requests from the traffic log, older than %g days", total, days)
