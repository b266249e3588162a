"""The day and the month of UTC that a time lies in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_DAY = 86400


class Window(NamedTuple):
    """Its name sorts by time; `ends` is in seconds since 1970."""

    name: str
    ends: float


class Today(NamedTuple):
    day: Window
    month: Window


class Calendar:
    """Works a day out once, when it is first asked for."""

    def __init__(self) -> None:
        self._number = -1
        self._today = today_at(0.0)

    def at(self, now: float) -> Today:
        number = int(now // _DAY)
        if number != self._number:
            self._number, self._today = number, today_at(now)
        return self._today


def today_at(now: float) -> Today:
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    next_month = (month + timedelta(days=32)).replace(day=1)
    return Today(
        Window(f"{day:%Y-%m-%d}", (day + timedelta(days=1)).timestamp()),
        Window(f"{month:%Y-%m}", next_month.timestamp()),
    )
