"""The engines of one student: which of them a call is sent to, and what becomes of it when that one fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Literal

from engine.client import EngineClient
from engine.errors import EngineError, EngineRateLimited, EngineUnreachable
from engine.fingerprint import Fingerprint, compare
from engine.hosted import HostedClient
from engine.settings import EngineSettings, StudentCheck
from gateway.errors import ModelUnavailable
from gateway.fleet.choice import chosen, ranked
from gateway.fleet.gauges import Series
from gateway.fleet.member import Member, member_label
from gateway.fleet.retries import RetryBudget, is_mendable
from gateway.fleet.route import Route
from gateway.fleet.waiting_room import WaitingRoom
from gateway.place import Place, ServedStudent

Ranking = tuple[Member, ...]


class Lease:
    """One call's stay with a member; `with` gives the client to call, `usd` is then what its time cost."""

    __slots__ = ("_fleet", "_is_trial", "_mark", "_served", "member", "usd")

    def __init__(self, fleet: Fleet, member: Member, served: ServedStudent) -> None:
        self.member = member
        self.usd = 0.0
        self._fleet = fleet
        self._served = served
        self._is_trial = member.enter()
        self._mark = 0.0

    def __enter__(self) -> EngineClient | HostedClient:
        meter = self._served.meter
        self._mark = meter.start() if meter is not None else 0.0
        return self._served.student.client

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        meter = self._served.meter
        self.usd = meter.finish(self._mark) if meter is not None else 0.0
        self.member.leave(error, self._is_trial)
        self._fleet.call_next()
        return False


class Fleet:
    """All engines of one student. With `check` "warn" each serves every release, whatever its template."""

    def __init__(
        self,
        engine: EngineSettings,
        places: Sequence[Place],
        series: Series,
        check: StudentCheck,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = engine.fleet
        labels = map(member_label, engine.urls)
        self.members = tuple(
            Member(place, label, settings, series.of_member(label), now)
            for place, label in zip(places, labels, strict=True)
        )
        self._settings = settings
        self._series = series
        self._check = check
        self._budget = RetryBudget(settings.retry_budget, now)
        self._room = WaitingRoom(settings.queue, settings.queue_seconds, series)
        self._rankings: dict[str, Ranking] = {}

    def front(self, served: ServedStudent) -> ServedStudent:
        """The student as a whole, where one of its engines stands for what they have in common."""
        return replace(served, meter=None, suspect=asyncio.Event(), fleet=self)

    def route(self, key: str, expected: Fingerprint | None) -> Route:
        """The way of one request's calls. Raises ModelUnavailable."""
        ranking = self._ranking(key, expected)
        if not ranking:
            # The catalog will know within a second.
            raise ModelUnavailable("No engine is the model that this release was built for.", retry=True)
        return Route(self, ranking)

    def engines_for(self, key: str, expected: Fingerprint) -> list[ServedStudent]:
        """The members that answer now, in the order in which calls of this key prefer them."""
        places = [member.place for member in self._ranking(key, expected)]
        return [place.served for place in places if place.up and place.served is not None]

    def changed(self) -> None:
        """A member came, went or turned into another model."""
        self._rankings.clear()
        for member in self.members:
            member.show()
        self.call_next()

    async def lease(self, ranking: Ranking, tried: Sequence[Member]) -> Lease:
        """A member's time, waited for where all are full. Raises EnginesBusy."""
        if not tried:
            self._budget.earn()
        lease = None if len(self._room) else self._lease_now(ranking, tried)
        if lease is None:
            return await self._room.wait(lambda: self._lease_now(ranking, tried))
        return lease

    def call_next(self) -> None:
        self._room.call_next()

    def may_repeat(self, error: EngineError, ranking: Ranking, tried: Sequence[Member]) -> bool:
        """Whether a call that failed so is asked again, at another member; if so it is counted."""
        if not is_mendable(error) or len(tried) > self._settings.retries:
            return False
        others = [member for member in ranking if member not in tried]
        if isinstance(error, EngineRateLimited):
            others = [member for member in others if member.accepts()]
        elif not isinstance(error, EngineUnreachable):
            # This one answered: one that can't be reached would have nothing better to say.
            others = [member for member in others if member.is_well]
        if not others or not self._budget.spend():
            return False
        self._series.retries(error.reason).inc()
        return True

    def _lease_now(self, ranking: Ranking, tried: Sequence[Member]) -> Lease | None:
        member = chosen(ranking, tried, self._settings)
        if member is None:
            return None
        assert member.place.last is not None, "only members that were open once are ranked"
        return Lease(self, member, member.place.last)

    def _ranking(self, key: str, expected: Fingerprint | None) -> Ranking:
        ranking = self._rankings.get(key)
        if ranking is None:
            fitting = [member for member in self.members if self._fits(member, expected)]
            ranking = self._rankings[key] = ranked(key, fitting)
        return ranking

    def _fits(self, member: Member, expected: Fingerprint | None) -> bool:
        """Whether a member was ever open, and is the model that is expected."""
        last = member.place.last
        if last is None:
            return False
        if expected is None or self._check == "warn":
            return True
        return not any(mismatch.kind == "template" for mismatch in compare(expected, last.fingerprint))
