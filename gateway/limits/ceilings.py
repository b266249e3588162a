"""The limits of a key or of a model, each as a counter that requests make claims on."""

from __future__ import annotations

from typing import Literal, NamedTuple

from engine.settings_limits import LimitSettings
from gateway.limits.calendar import Today
from gateway.limits.counting import Claim, Kind
from gateway.limits.demand import Demand

Scope = Literal["key", "model"]
Name = Literal["requests", "tokens", "concurrency", "usd_per_day", "usd_per_month"]

_KINDS: dict[Name, Kind] = {
    "requests": "rate",
    "tokens": "rate",
    "concurrency": "seats",
    "usd_per_day": "budget",
    "usd_per_month": "budget",
}


class Ceiling(NamedTuple):
    """One limit of one key or model."""

    name: Name
    scope: Scope
    kind: Kind
    counter: str
    limit: float

    def claim(self, demand: Demand, today: Today) -> Claim:
        if self.kind != "budget":
            return Claim(self.counter, self.kind, self.limit, self.amount(demand))
        window = today.day if self.name == "usd_per_day" else today.month
        return Claim(self.counter, "budget", self.limit, self.amount(demand), window.name, window.ends)

    def amount(self, demand: Demand) -> float:
        if self.name == "tokens":
            return demand.tokens
        return (demand.usd or 0.0) if self.kind == "budget" else 1


def ceilings(scope: Scope, subject: str, quota: LimitSettings) -> tuple[Ceiling, ...]:
    """The limits that a quota sets; `subject` is the key's id or the model's name."""
    limits: dict[Name, float | None] = {
        "requests": quota.requests_per_minute,
        "tokens": quota.tokens_per_minute,
        "concurrency": quota.concurrency,
        "usd_per_day": quota.usd_per_day,
        "usd_per_month": quota.usd_per_month,
    }
    return tuple(
        Ceiling(name, scope, _KINDS[name], f"{scope}:{subject}:{name}", limit)
        for name, limit in limits.items()
        if limit is not None
    )
