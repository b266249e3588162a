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


def strike_out(file: Path, seat: int) -> None:
    """Forgets the calls of a process that has ended, however it ended; its seat is free for another then."""
    descriptor = os.open(file, os.O_RDWR)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_size:
            os.pwrite(descriptor, bytes(_NUMBER), (_CALLS + seat) * _NUMBER)
    finally:
        os.close(descriptor)


class SharedSheet:
    """One of several processes' hold on a sheet that lies in a file; `seat` tells the processes apart."""

    def __init__(self, file: Path, seat: int, processes: int, now: float) -> None:
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        size = (_CALLS + processes) * _NUMBER
        self._seat = _CALLS + seat
        with self:
            fresh = os.fstat(self._descriptor).st_size == 0
            if fresh:
                os.ftruncate(self._descriptor, size)
            self._numbers = memoryview(mmap.mmap(self._descriptor, size)).cast("d")
            if fresh:
                self.settled = now

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
        self._numbers[self._seat] += number

    def __enter__(self) -> Self:
        # Microseconds; and unlike a semaphore it is given back when its holder dies.
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
