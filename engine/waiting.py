"""How long a call may take: to connect, to begin its reply, between two parts of it, and in all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engine.errors import EngineTimeout, Phase

Reading = Literal["first_byte", "between"]


@dataclass(frozen=True)
class Timeouts:
    """Seconds allowed to connect, to the first byte of the reply, between two reads of it, and in all.

    A connection that nothing used for `idle` seconds is not used again: vLLM and LM Studio close
    theirs after 5, and a request sent just then is lost.
    """

    connect: float = 5.0
    first_byte: float = 120.0
    between: float = 60.0
    total: float = 600.0
    idle: float = 4.0


DEFAULT_TIMEOUTS = Timeouts()


class Clock:
    """The time limits of one call, counted from its beginning. `now` is the event loop's time."""

    __slots__ = ("_begun", "_ending", "_now", "_seconds", "_timeouts", "_url")

    def __init__(self, timeouts: Timeouts, url: str, now: Callable[[], float]) -> None:
        self._timeouts = timeouts
        self._url = url
        self._now = now
        self._begun = now()

    def until(self, phase: Reading) -> float:
        """When a phase that is waited for from now on is out of time, or the whole call is."""
        limits = self._timeouts
        self._ending: Phase = phase
        self._seconds = limits.first_byte if phase == "first_byte" else limits.between
        until = (self._begun if phase == "first_byte" else self._now()) + self._seconds
        if self._begun + limits.total < until:
            self._ending, self._seconds = "total", limits.total
            return self._begun + limits.total
        return until

    def late(self) -> EngineTimeout:
        """The error for what was waited for last."""
        return EngineTimeout.in_phase(self._url, self._ending, self._seconds)
