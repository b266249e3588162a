"""What all workers of a gateway saw of one canary: the newest answers, in a file that each writes and reads.

A ring of records of one length. A worker takes part once a second, not with each request; one that came later
begins with all that is still there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from gateway.canary.guards import Answer
from gateway.shared import Shared

_NEWEST = 20_000  # answers that are kept
_WRITTEN = Struct("=Q")  # how many were ever written, at the file's beginning
_RECORD = Struct("=dd???")


class Seen(NamedTuple):
    """An answer, and which of the two releases gave it."""

    by_candidate: bool
    answer: Answer


class Sheet:
    """One process's hold on the file."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        self._read = 0

    def exchange(self, mine: Sequence[Seen]) -> list[Seen]:
        """Adds what this worker saw; gives what all saw since it last asked, its own among it."""
        with self._alone():
            written = self._written()
            for number, seen in enumerate(mine, written):
                os.pwrite(self._descriptor, _packed(seen), _place(number))
            written += len(mine)
            os.pwrite(self._descriptor, _WRITTEN.pack(written), 0)
            new = range(max(self._read, written - _NEWEST), written)
            self._read = written
            return [seen for part in _unbroken(new) for seen in self._those(part)]

    def close(self) -> None:
        os.close(self._descriptor)

    def _written(self) -> int:
        head = os.pread(self._descriptor, _WRITTEN.size, 0)
        return int(_WRITTEN.unpack(head)[0]) if head else 0

    def _those(self, numbers: range) -> Iterator[Seen]:
        data = os.pread(self._descriptor, len(numbers) * _RECORD.size, _place(numbers.start))
        for at, seconds, failed, unparseable, by_candidate in _RECORD.iter_unpack(data):
            yield Seen(by_candidate, Answer(at, failed, unparseable, seconds))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)  # given back when its holder dies
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


def sheet_of(shared: Shared | None, *trial: str) -> Sheet | None:
    """The sheet of a trial with these names; a single worker needs none."""
    if shared is None or shared.workers == 1:
        return None
    name = hashlib.sha256("\0".join(trial).encode()).hexdigest()[:16]
    return Sheet(shared.folder / f"{name}.canary")


def _packed(seen: Seen) -> bytes:
    at, failed, unparseable, seconds = seen.answer
    return _RECORD.pack(at, seconds, failed, unparseable, seen.by_candidate)


def _place(number: int) -> int:
    return _WRITTEN.size + number % _NEWEST * _RECORD.size


def _unbroken(numbers: range) -> Iterator[range]:
    """The numbers in parts whose places follow one another."""
    start = numbers.start
    while start < numbers.stop:
        stop = min(numbers.stop, (start // _NEWEST + 1) * _NEWEST)
        yield range(start, stop)
        start = stop
