"""Lets requests in while the limits of their key and their model allow it, and settles what they took.

What a request may use is reserved before it runs, by an estimate; once it is over, by whatever end, the
estimate is replaced by the truth.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from engine.settings_limits import EVERY_MODEL, LimitSettings
from gateway.access.caller import Caller
from gateway.errand import Errand
from gateway.errors import Header, LimitsUncounted, PriceUnknown
from gateway.limits.calendar import Calendar, Today
from gateway.limits.ceilings import Ceiling, ceilings
from gateway.limits.counting import Change, Claim, CountersGone, Counting, Reservation
from gateway.limits.demand import NOTHING, Demand, Estimates
from gateway.limits.telling import refusal, standing_headers, too_large
from gateway.metrics import Metrics
from gateway.protocol import new_id
from gateway.visit import Visit

_log = logging.getLogger(__name__)
_FEEDBACK = "unknown"  # which model it is on is not known before it is counted


@dataclass(frozen=True, slots=True)
class Grant:
    """What one request reserved, at which time of the counters; nothing where it runs uncounted."""

    ceilings: Sequence[Ceiling]
    claims: Sequence[Claim]
    demand: Demand
    at: float
    headers: Sequence[Header] = ()


class Allowance:
    """The limits of one gateway. `quotas` are the models', "*" that of all others, each by itself.

    With `fail_open` requests run uncounted while nothing can be counted. `now` is the time of day.
    """

    def __init__(
        self,
        quotas: Mapping[str, LimitSettings],
        counting: Counting,
        metrics: Metrics,
        *,
        fail_open: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._quotas = quotas
        self._counting = counting
        self._limited = metrics.counter(
            "gateway_limited", "Requests that a limit refused.", ("model", "limit", "scope")
        )
        self._uncounted = metrics.counter(
            "gateway_limits_uncounted", "Requests whose limits could not be counted.", ("model", "outcome")
        )
        self._fail_open = fail_open
        self._now = now
        self._calendar = Calendar()
        self._ceilings = lru_cache(4096)(ceilings)
        self._estimates = Estimates()

    async def reserve(self, caller: Caller | None, errand: Errand, size: int) -> Grant | None:
        """What the request, whose body has `size` bytes, may use; None where nothing is limited.

        Raises:
            RateLimited, QuotaSpent: a limit is reached.
            PriceUnknown: its money is limited and can't be counted.
            LimitsUncounted: nothing can be counted now.
        """
        model = errand.account.metrics.model
        limits = self._limits(caller, model)
        if not limits:
            return None
        demand = self._estimates.of(errand, size)
        today = self._calendar.at(self._now())
        claims = self._claims(limits, demand, today, model)
        errand.account.student.budgeted = any(claim.kind == "budget" for claim in claims)
        reserved = await self._reserved(errand.id, limits, claims, model)
        if reserved is None:
            return Grant(limits, [limit.claim(NOTHING, today) for limit in limits], NOTHING, self._now())
        return Grant(limits, claims, demand, reserved.at, standing_headers(limits, reserved.standings))

    async def reserve_feedback(self, caller: Caller | None) -> None:
        """Counts feedback, which asks no model: as often as its key may ask, and beside that.

        Raises RateLimited and LimitsUncounted.
        """
        own = self._ceilings("key", caller.id, caller.limits) if caller is not None else ()
        limits = [it._replace(counter=f"{it.counter}:feedback") for it in own if it.name == "requests"]
        if not limits:
            return
        claims = [it.claim(NOTHING, self._calendar.at(self._now())) for it in limits]
        await self._reserved(new_id("fb_"), limits, claims, _FEEDBACK)

    def finished(self, visit: Visit) -> None:
        grant, errand = visit.grant, visit.errand
        if grant is None or errand is None:
            return
        took = self._estimates.settled(errand, grant.demand, visit.status, visit.error)
        changes = [
            Change(claim, ceiling.amount(took) - claim.amount, grant.at)
            for ceiling, claim in zip(grant.ceilings, grant.claims, strict=True)
            if ceiling.name != "requests"
        ]
        if changes:
            self._counting.settle(errand.id, changes)

    async def open(self, models: Collection[str]) -> None:
        """Readies it; a limit of none of the models that are served may be meant for another. Raises
        StartFailed.
        """
        known = {EVERY_MODEL, *(model.partition("@")[0] for model in models), *models}
        for name in self._quotas.keys() - known:
            _log.warning("the limits of %r limit nothing: no such model is served now", name)
        today = self._calendar.at(self._now())
        await self._counting.open([window.name for window in today])

    async def close(self) -> None:
        await self._counting.close()

    async def _reserved(
        self, id: str, limits: Sequence[Ceiling], claims: Sequence[Claim], model: str
    ) -> Reservation | None:
        """What is granted; None of what can't be counted and is to run all the same."""
        try:
            reserved = await self._counting.reserve(id, claims)
        except CountersGone as error:
            self._run_uncounted(model, error)
            return None
        if not reserved.granted:
            ceiling, told = refusal(limits, claims, reserved.standings, model)
            self._count(ceiling, model)
            raise told
        return reserved

    def _limits(self, caller: Caller | None, model: str) -> tuple[Ceiling, ...]:
        quota = self._quotas.get(model) or self._quotas.get(EVERY_MODEL)
        of_model = self._ceilings("model", model, quota) if quota is not None else ()
        return of_model if caller is None else self._ceilings("key", caller.id, caller.limits) + of_model

    def _claims(self, limits: Sequence[Ceiling], demand: Demand, today: Today, model: str) -> list[Claim]:
        claims = []
        for ceiling in limits:
            claim = ceiling.claim(demand, today)
            if claim.kind == "budget" and demand.usd is None:
                raise _price_unknown(ceiling, model)
            if claim.kind == "rate" and claim.amount > claim.limit:
                self._count(ceiling, model)
                raise too_large(ceiling, claim, model)
            claims.append(claim)
        return claims

    def _count(self, ceiling: Ceiling, model: str) -> None:
        self._limited.labels(model, ceiling.name, ceiling.scope).inc()

    def _run_uncounted(self, model: str, error: CountersGone) -> None:
        """Counts a request that can't be counted, and refuses it unless the operator wants it served."""
        served = self._fail_open and error.comes_back
        self._uncounted.labels(model, "served" if served else "refused").inc()
        if not served:
            raise LimitsUncounted(str(error), 1.0 if error.comes_back else None) from error


def _price_unknown(ceiling: Ceiling, model: str) -> PriceUnknown:
    whose = f"The model {model!r} has" if ceiling.scope == "model" else "This key has"
    return PriceUnknown(
        f"{whose} a budget in USD, and what {model!r} costs is not known here, so it can't be kept; the "
        "gateway's operator has to give its engine a price."
    )
