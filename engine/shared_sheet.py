"""A sheet of a meter that several processes of one machine write on."""

from __future__ import annotations

import fcntl
import mmap
import os
from pathlib import Path
from types import TracebackType
from typing import Self

_NUMBER = 8  # bytes
_SETTLED, _PER_CALL, _IDLE, _CALLS = range(
    4
)  # places of the numbers; from the last on, calls of each process


class SharedSheet:
    """One of several processes' hold on a sheet that lies in a file; `place` tells the processes apart.

    Opening it strikes out the calls that an earlier process of the same place left behind when it died.
    """

    def __init__(self, file: Path, place: int, processes: int, now: float) -> None:
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        size = (_CALLS + processes) * _NUMBER
        self._place = _CALLS + place
        with self:
            fresh = os.fstat(self._descriptor).st_size == 0
            if fresh:
                os.ftruncate(self._descriptor, size)
            self._numbers = memoryview(mmap.mmap(self._descriptor, size)).cast("d")
            if fresh:
                self.settled = now
            self._numbers[self._place] = 0.0

    @property
    def settled(self) -> float:
        return self._numbers[_SETTLED]

    @settled.setter
    def settled(self, now: float) -> None:
        self._numbers[_SETTLED] = now

    @property
    def per_call(self) -> float:
        return self._numbers[_PER_CALL]

    @per_call.setter
    def per_call(self, usd: float) -> None:
        self._numbers[_PER_CALL] = usd

    @property
    def idle(self) -> float:
        return self._numbers[_IDLE]

    @idle.setter
    def idle(self, usd: float) -> None:
        self._numbers[_IDLE] = usd

    @property
    def in_flight(self) -> float:
        return sum(self._numbers[_CALLS:])

    def add_calls(self, number: int) -> None:
        self._numbers[self._place] += number

    def __enter__(self) -> Self:
        # Microseconds; and unlike a semaphore it is given back when its holder dies.
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
