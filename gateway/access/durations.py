"""Times as people write them: '90d', '12h', or a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from gateway.errors import RequestInvalid

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d{1,6})\s*([smhdw])")


def seconds_of(span: str) -> float:
    """Raises RequestInvalid."""
    found = _SPAN.fullmatch(span.strip().lower())
    if found is None:
        raise RequestInvalid(f"{span[:40]!r} is no span of time; write for example '30m', '12h' or '90d'.")
    return float(int(found[1]) * _UNITS[found[2]])


def time_of(said: str, now: float) -> float:
    """The moment that a span from now, or a date in UTC, means. Raises RequestInvalid."""
    try:
        date = datetime.fromisoformat(said.strip())
    except ValueError:
        return now + seconds_of(said)
    moment = (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
    if moment <= now:
        raise RequestInvalid(f"{said!r} is over already.", param="expires")
    return moment
