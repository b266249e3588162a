"""Times as people write them: '90d', '12h', or a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from gateway.errors import RequestInvalid

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_CENTURY = 36_525 * 86_400.0  # what is further away no calendar can show
_SPAN = re.compile(r"(\d{1,6})\s*([smhdw])")


def seconds_of(span: str) -> float:
    """Raises RequestInvalid."""
    found = _SPAN.fullmatch(span.strip().lower())
    if found is None:
        raise RequestInvalid(f"{span[:40]!r} is no span of time; write for example '30m', '12h' or '90d'.")
    seconds = float(int(found[1]) * _UNITS[found[2]])
    if seconds > _CENTURY:
        raise RequestInvalid(f"{span!r} is longer than a hundred years.")
    return seconds


def time_of(said: str, now: float) -> float:
    """The moment that a span from now, or a date in UTC, means. Raises RequestInvalid."""
    try:
        date = datetime.fromisoformat(said.strip())
    except ValueError:
        return now + seconds_of(said)
    moment = (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
    if moment <= now:
        raise RequestInvalid(f"{said!r} is over already.", param="expires")
    if moment > now + _CENTURY:
        raise RequestInvalid(f"{said!r} is more than a hundred years away.", param="expires")
    return moment
