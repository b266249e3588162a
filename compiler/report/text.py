"""How the report writes numbers, and texts that may hold anything."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_SMALLEST_P = 0.0001


def plain(value: Any, most: int) -> str:
    """A value as text of at most about `most` characters; what can't be shown is shown as a symbol."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    length = len(text)
    text = _CONTROL.sub(_symbol, text[:most].replace("\r\n", "\n"))
    return text if length <= most else f"{text} … ({length:,} characters)"


def one_line(value: Any, most: int) -> str:
    """The same with all white space as single spaces, and only an ellipsis where it is cut."""
    text = " ".join(plain(value, 10 * most).split())
    return text if len(text) <= most else f"{text[:most].rstrip()}…"


def percent(score: float | None) -> str:
    return "unknown" if score is None else f"{100 * score:.1f} %"


def points(score: float) -> str:
    return f"{100 * score:+.1f}".replace("-", "−")


def p_value(p: float | None) -> str:
    if p is None:
        return ""
    return f"<\u00a0{_SMALLEST_P}" if p < _SMALLEST_P else f"{p:.4f}"


def usd(amount: float | None) -> str:
    """Dollars; of small sums the first digits that say something, never `1e-07`."""
    if amount is None:
        return "unknown"
    if amount == 0 or abs(amount) >= 1:
        return f"{amount:,.2f}"
    digits = max(4, 1 - int(f"{amount:e}".partition("e")[2]))
    return f"{amount:.{min(digits, 10)}f}"


def count(amount: float | None) -> str:
    if amount is None:
        return "unknown"
    return f"{amount:,.0f}" if amount >= 100 or amount == int(amount) else f"{amount:,.1f}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {left} s"


def moment(at: str | None) -> str:
    if not at:
        return ""
    told = datetime.fromisoformat(at)
    return f"{told.day} {told:%B %Y, %H:%M} UTC"


def _symbol(found: re.Match[str]) -> str:
    code = ord(found[0])
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"
