"""Calls that wait until an engine has room: a bounded number for a bounded time, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from gateway.errors import EnginesBusy
from gateway.fleet.gauges import Series

Room = TypeVar("Room")


class WaitingRoom:
    def __init__(self, most: int, seconds: float, series: Series) -> None:
        self._most = most
        self._seconds = seconds
        self._series = series
        self._waiting: deque[asyncio.Event] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self, find: Callable[[], Room | None]) -> Room:
        """What `find` gives when it is this call's turn. Raises EnginesBusy."""
        if len(self._waiting) >= self._most:
            raise self._refused("full", "every engine works on as much as it may, and too many wait already")
        turn = asyncio.Event()
        self._waiting.append(turn)
        self._series.waiting.inc()
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    await turn.wait()
                    turn.clear()
                    found = find()
                    if found is not None:
                        return found
        except TimeoutError as error:
            told = f"no engine had room within {self._seconds:g} seconds"
            raise self._refused("waited", told) from error
        finally:
            self._waiting.remove(turn)
            self._series.waiting.dec()
            # Whoever leaves may have been called, or leave more room than it took.
            self.call_next()

    def call_next(self) -> None:
        """There may be room for whoever is first."""
        if self._waiting:
            self._waiting[0].set()

    def _refused(self, reason: str, told: str) -> EnginesBusy:
        self._series.refused(reason).inc()
        return EnginesBusy(f"The model is busy: {told}.")
