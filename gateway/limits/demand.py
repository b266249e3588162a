"""What a request is taken for before it runs, and what it took once it is over."""

from __future__ import annotations

from typing import NamedTuple

from engine.chat import Usage
from engine.prices import token_cost
from gateway.accounting.cost import MeteredStudent
from gateway.errand import Errand
from gateway.errors import GatewayError
from gateway.exchange import CLIENT_CLOSED_REQUEST
from gateway.place import ServedStudent

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

    def settled(
        self, errand: Errand, estimate: Demand, status: int, error: GatewayError | None = None
    ) -> Demand:
        """What a request took, for the next ones to be foreseen by."""
        student, model = errand.account.student, errand.account.metrics.model
        if student.calls:
            before = self._seconds.get(model, student.seconds)
            self._seconds[model] = before + _NEWEST * (student.seconds - before)
        return taken(student, estimate, status, error)


def taken(
    student: MeteredStudent, estimate: Demand, status: int, error: GatewayError | None = None
) -> Demand:
    """What a request took by its engine's own count.

    A client that leaves, a time that runs out and calls that are cancelled because another failed leave that
    unknown: then it took what was estimated, if not more, because nothing that may have been paid counts as
    nothing. Only what failed at an engine counts as far as that engine has counted.
    """
    if not student.calls:
        return NOTHING
    counted = student.tokens
    usage = Usage(counted.prompt, counted.completion, counted.cached) if counted is not None else Usage(0, 0)
    least = Demand(usage.prompt_tokens + usage.completion_tokens, _known_usd(student, usage))
    ended_early = status in (CLIENT_CLOSED_REQUEST, _TIMED_OUT)
    failed_there = error is not None and error.reason is not None
    if not ended_early and (failed_there or not student.uncounted):
        tokens = least.tokens
    else:
        tokens = max(least.tokens, estimate.tokens, student.seen)
    if student.usd is not None or (failed_there and not ended_early):
        return Demand(tokens, least.usd)
    return Demand(tokens, _dearest(student, tokens, least, estimate))


def _dearest(student: MeteredStudent, tokens: int, least: Demand, estimate: Demand) -> float:
    """The most that an unknown cost is likely to be, whoever was asked."""
    seen = _cost_of(student.served, Usage(0, student.seen))
    # Which of a teacher's tokens were read and which written is not known: all are taken for the dearer.
    elsewhere = [
        max(_cost_of(served, Usage(tokens, 0)), _cost_of(served, Usage(0, tokens)))
        for served in student.elsewhere
    ]
    return max(least.usd or 0.0, estimate.usd or 0.0, seen, *elsewhere)


def _known_usd(student: MeteredStudent, usage: Usage) -> float:
    """The cost, or that of the calls that were counted."""
    return student.usd if student.usd is not None else _cost_of(student.served, usage)


def _cost_of(served: ServedStudent, usage: Usage) -> float:
    return (token_cost(served.price, usage) if served.price is not None else None) or 0.0
