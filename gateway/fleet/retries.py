"""Which failures another engine can mend, and how many calls may be asked again for them."""

from __future__ import annotations

import random
from collections.abc import Callable

from engine.errors import (
    EngineError,
    EngineRateLimited,
    EngineServerError,
    EngineTimeout,
    EngineUnreachable,
)

_WINDOW = 10.0  # seconds
_RESERVE = 100  # repeats in a window that need no other calls to stand for them
_PAUSE = 0.02


def is_mendable(error: EngineError) -> bool:
    """Whether the call may well succeed at another engine.

    A 500 is among them: vLLM's server says it of every call it holds when its engine has died. What took too
    long here would take as long elsewhere.
    """
    if isinstance(error, EngineServerError):
        return error.status in (500, 502, 503)
    if isinstance(error, EngineTimeout):
        return error.phase == "connect"
    return isinstance(error, EngineUnreachable | EngineRateLimited)


def pause(repeat: int) -> float:
    """Seconds before a call is sent again; by chance, for what failed together should not come together."""
    return random.uniform(0.0, _PAUSE * 2**repeat)


class RetryBudget:
    """Repeats are at most a share of the last seconds' calls, and a few more.

    When all engines fail, asking for everything three times would keep them down.
    """

    def __init__(self, share: float, now: Callable[[], float]) -> None:
        self._share = share
        self._now = now
        self._begun = now()
        self._earned, self._earned_before = 0.0, 0.0

    def earn(self) -> None:
        """A call was made."""
        self._turn()
        self._earned += self._share

    def spend(self) -> bool:
        """Whether one may be repeated; if so it is counted."""
        age = self._turn()
        if _RESERVE + self._earned + self._earned_before * (1 - age / _WINDOW) < 1:
            return False
        self._earned -= 1
        return True

    def _turn(self) -> float:
        """Begins a new window where the last is over; gives the age of this one."""
        age = self._now() - self._begun
        if age >= _WINDOW:
            self._earned_before = self._earned if age < 2 * _WINDOW else 0.0
            self._earned, self._begun, age = 0.0, self._now(), 0.0
        return age
