"""What a client is told of its limits: by OpenAI's headers on every answer, by its errors where one is
reached.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from gateway.errors import GatewayError, Header, QuotaSpent, RateLimited
from gateway.limits.ceilings import Ceiling, Name
from gateway.limits.counting import MINUTE, Claim, Standing

_ON: dict[Name, str] = {
    "requests": "requests per min (RPM)",
    "tokens": "tokens per min (TPM)",
    "concurrency": "requests at a time",
}
_PER: dict[Name, str] = {"usd_per_day": "day", "usd_per_month": "month"}


class _Words(NamedTuple):
    limit: bytes
    left: bytes
    reset: bytes


def _words(name: Name) -> _Words:
    return _Words(*(f"x-ratelimit-{word}-{name}".encode() for word in ("limit", "remaining", "reset")))


_HEADERS: dict[Name, _Words] = {"requests": _words("requests"), "tokens": _words("tokens")}


def standing_headers(limits: Sequence[Ceiling], standings: Sequence[Standing]) -> list[Header]:
    """How requests and tokens per minute stand; where the key and the model have a limit, the shorter one."""
    headers: list[Header] = []
    for name, words in _HEADERS.items():
        those = [
            (it.left, limit.limit) for limit, it in zip(limits, standings, strict=True) if limit.name == name
        ]
        if those:
            left, limit = min(those)
            until_full = duration((limit - left) * MINUTE / limit)
            headers += (
                (words.limit, b"%d" % limit),
                (words.left, b"%d" % max(left, 0.0)),
                (words.reset, until_full.encode()),
            )
    return headers


def refusal(
    limits: Sequence[Ceiling], claims: Sequence[Claim], standings: Sequence[Standing], model: str
) -> tuple[Ceiling, GatewayError]:
    """The limit that refused, the one for longest if there are several, and what it is told as."""
    asked = zip(limits, claims, standings, strict=True)
    refused = [each for each in asked if not each[2].granted]
    ceiling, claim, standing = max(refused, key=lambda each: (each[0].kind == "budget", each[2].seconds))
    if ceiling.kind == "budget":
        return ceiling, QuotaSpent(_spent(ceiling, model, standing), standing.seconds)
    told = f"{_reached(ceiling, claim, standing, model)} Please try again in {duration(standing.seconds)}."
    return ceiling, RateLimited(told, _short(ceiling), standing.seconds, standing_headers(limits, standings))


def too_large(ceiling: Ceiling, claim: Claim, model: str) -> RateLimited:
    """For what no waiting makes fit; told as OpenAI tells it."""
    told = (
        f"Request too large for {_whom(ceiling, model)} on {_ON[ceiling.name]}: "
        f"Limit {claim.limit:.0f}, Requested {claim.amount:.0f}. The input or output tokens must be reduced "
        "in order to run successfully."
    )
    return RateLimited(told, _short(ceiling), None, ())


def duration(seconds: float) -> str:
    """As OpenAI writes it: 8ms, 1.5s, 6m0s, 1h0m3s. Rounded up, so that who waits that long is not early."""
    milliseconds = max(math.ceil(seconds * 1000 - 1e-3), 0)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    shown = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{shown}"
    return f"{minutes}m{shown}" if minutes else shown


def _reached(ceiling: Ceiling, claim: Claim, standing: Standing, model: str) -> str:
    return (
        f"Rate limit reached for {_whom(ceiling, model)} on {_ON[ceiling.name]}: Limit {claim.limit:.0f}, "
        f"Used {claim.limit - standing.left:.0f}, Requested {claim.amount:.0f}."
    )


def _spent(ceiling: Ceiling, model: str, standing: Standing) -> str:
    return (
        f"You exceeded your current quota: {_whom(ceiling, model)} may cost {ceiling.limit:g} USD per "
        f"{_PER[ceiling.name]}, and that is spent. The next {_PER[ceiling.name]} begins in "
        f"{duration(math.ceil(standing.seconds))}, at midnight UTC."
    )


def _whom(ceiling: Ceiling, model: str) -> str:
    return model if ceiling.scope == "model" else "this key"


def _short(ceiling: Ceiling) -> str:
    return "tokens" if ceiling.name == "tokens" else "requests"
