"""Where a meter of hours writes what they came to so far."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self


class Sheet(Protocol):
    """The numbers of one `HourlyMeter`; `with` keeps others from writing meanwhile."""

    settled: float
    per_call: float
    idle: float

    @property
    def in_flight(self) -> float:
        """Calls of all who share the sheet."""
        ...

    def add_calls(self, number: int) -> None: ...
    def __enter__(self) -> object: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class OwnSheet:
    """One process's own; in one event loop nobody else writes meanwhile."""

    __slots__ = ("idle", "in_flight", "per_call", "settled")

    def __init__(self, now: float) -> None:
        self.settled = now
        self.per_call = self.idle = self.in_flight = 0.0

    def add_calls(self, number: int) -> None:
        self.in_flight += number

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
