"""Writes the traffic log behind the requests' backs: they leave an entry in a queue and are gone.

A queue that is full takes nothing more, and that is counted: a database that is slow or gone never holds a
request up. What is in the queue is in the database a moment later, so a process that is killed loses less
than a second of it, and one that ends as it should loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from itertools import islice

from gateway.errors import StoreUnavailable
from gateway.traffic.entry import Entry
from gateway.traffic.metrics import TrafficMetrics
from gateway.traffic.redaction import Redaction
from gateway.traffic.rows import redacted_rows
from gateway.traffic.store import TrafficStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """How much may wait, how often it is written, how much at once; and how long the last of it may take.

    `largest` is how many bytes one request may have, and all that are written at once.
    """

    most_bytes: int = 64 * 1024 * 1024
    largest: int = 4 * 1024 * 1024
    seconds: float = 0.25
    after_failure: float = 1.0
    at_once: int = 200
    last: float = 10.0


PACE = Pace()


class TrafficWriter:
    def __init__(
        self, store: TrafficStore, redaction: Redaction, metrics: TrafficMetrics, pace: Pace = PACE
    ) -> None:
        self._store = store
        self._redaction = redaction
        self._metrics = metrics
        self._pace = pace
        self._queue: deque[Entry] = deque()
        self._bytes = 0
        self._alone = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def put(self, entry: Entry) -> None:
        """Never waits; what there is no room for is lost."""
        size = len(entry.texts)
        if size > self._pace.largest:
            self._metrics.lost.labels("too_large").inc()
        elif self._bytes + size > self._pace.most_bytes:
            self._metrics.lost.labels("queue_full").inc()
        else:
            self._queue.append(entry)
            self._bytes += size

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_writing(), name="traffic")
        self._task.add_done_callback(_report)

    async def flush(self) -> None:
        """Writes what is in the queue now. Raises StoreUnavailable; what was not written stays in it."""
        async with self._alone:
            while self._queue:
                batch = self._first()
                rows = await asyncio.to_thread(redacted_rows, batch, self._redaction)
                if rows:
                    await self._store.add(rows)
                for entry in batch:
                    self._bytes -= len(entry.texts)
                    self._queue.popleft()
                self._metrics.written.inc(len(rows))
                if len(rows) < len(batch):
                    self._metrics.lost.labels("unreadable").inc(len(batch) - len(rows))

    async def close(self) -> None:
        """Writes the rest, if the database takes it in time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        try:
            await asyncio.wait_for(self.flush(), self._pace.last)
        except (StoreUnavailable, TimeoutError) as error:
            self._metrics.lost.labels("not_written").inc(len(self._queue))
            _log.error("the last %d requests are not in the traffic log: %r", len(self._queue), error)

    def _first(self) -> list[Entry]:
        """As much of the queue as is written at once: one entry at least."""
        batch: list[Entry] = []
        size = 0
        for entry in islice(self._queue, self._pace.at_once):
            size += len(entry.texts)
            if batch and size > self._pace.largest:
                break
            batch.append(entry)
        return batch

    async def _keep_writing(self) -> None:
        pause = self._pace.seconds
        while True:
            await asyncio.sleep(pause)
            try:
                await self.flush()
                pause = self._pace.seconds
            except StoreUnavailable:  # the database has logged why
                pause = self._pace.after_failure


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        _log.critical("the traffic log is no longer written; restart the gateway", exc_info=task.exception())
