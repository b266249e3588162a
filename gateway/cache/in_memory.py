"""Answers in this process's memory: the fastest, gone with the process, and each worker has its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

_BESIDE = 300  # bytes that an entry takes beside its value: its key, its place, its time


class _Entry(NamedTuple):
    value: bytes
    until: float

    @property
    def size(self) -> int:
        return len(self.value) + _BESIDE


class InMemory:
    """Drops what was used longest ago when it would hold more than `max_bytes`."""

    def __init__(self, max_bytes: int, clock: Callable[[], float] = monotonic) -> None:
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._max_bytes = max_bytes
        self._clock = clock
        self.bytes = 0

    async def open(self) -> None:
        """Memory is always there."""

    async def get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        if key in self._entries:
            self._drop(key)
        entry = _Entry(value, self._clock() + seconds)
        if entry.size > self._max_bytes:
            return
        self._entries[key] = entry
        self.bytes += entry.size
        while self.bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    async def close(self) -> None:
        self._entries.clear()
        self.bytes = 0

    def _drop(self, key: str) -> None:
        self.bytes -= self._entries.pop(key).size
