"""What a request is taken for before it runs, and what it took once it is over."""

from __future__ import annotations

from typing import NamedTuple

from engine.chat import Usage
from engine.prices import token_cost
from gateway.accounting.cost import MeteredStudent
from gateway.errand import Errand
from gateway.exchange import CLIENT_CLOSED_REQUEST

_PER_HOUR = 3600.0
_FIRST_SECONDS = 1.0  # what a request for a model takes, as long as none was seen
_NEWEST = 0.1  # how much of that the newest request decides
_TIMED_OUT = 504


class Demand(NamedTuple):
    """Tokens of prompts and replies together, and USD; None where no price is known."""

    tokens: int
    usd: float | None


NOTHING = Demand(0, 0.0)


class Estimates:
    """Foresees requests by their size and what their model may write; those of engines priced by the hour by
    how long earlier ones took.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def of(self, errand: Errand, size: int) -> Demand:
        """For a request whose body has `size` bytes."""
        appetite, price = errand.appetite(size), errand.account.student.served.price
        if price is None:
            return Demand(appetite.tokens, None)
        if price.usd_per_hour is not None:
            seconds = self._seconds.get(errand.account.metrics.model, _FIRST_SECONDS)
            return Demand(appetite.tokens, price.usd_per_hour / _PER_HOUR * seconds)
        return Demand(appetite.tokens, token_cost(price, appetite.usage()))

    def settled(self, errand: Errand, estimate: Demand, status: int) -> Demand:
        """What a request took, for the next ones to be foreseen by."""
        student, model = errand.account.student, errand.account.metrics.model
        if student.calls:
            before = self._seconds.get(model, student.seconds)
            self._seconds[model] = before + _NEWEST * (student.seconds - before)
        return taken(student, estimate, status)


def taken(student: MeteredStudent, estimate: Demand, status: int) -> Demand:
    """What a request took by its engine's own count.

    A client that leaves and a time that runs out leave that unknown: then it took what was estimated, if not
    more, because nothing that may have been paid counts as nothing.
    """
    if not student.calls:
        return NOTHING
    counted, usd = student.tokens, student.usd
    usage = Usage(counted.prompt, counted.completion, counted.cached) if counted is not None else Usage(0, 0)
    least = Demand(usage.prompt_tokens + usage.completion_tokens, _known_usd(student, usage))
    ended_early = status in (CLIENT_CLOSED_REQUEST, _TIMED_OUT)
    if not ended_early and (status != 200 or (counted is not None and usd is not None)):
        return least
    tokens = max(least.tokens, estimate.tokens)
    return Demand(tokens, usd if usd is not None else max(least.usd or 0.0, estimate.usd or 0.0))


def _known_usd(student: MeteredStudent, usage: Usage) -> float:
    """The cost, or that of the calls that were counted."""
    if student.usd is not None:
        return student.usd
    price = student.served.price
    return (token_cost(price, usage) if price is not None else None) or 0.0
