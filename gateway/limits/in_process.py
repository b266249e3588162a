"""Counts in the memory of one process. What was spent of budgets is kept, where there is a ledger."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gateway.limits.counting import MINUTE, SEAT_WAIT, Change, Claim, Reservation, Standing

_SLACK = 1e-6  # seconds; the time of day is a number of sixteen digits


@dataclass(slots=True)
class Rate:
    """A bucket by two times: when it will be full again, and when it was last seen full.

    What was reserved before it was last full has refilled since, so nothing of it is given back.
    """

    full_at: float = 0.0
    was_full: float = 0.0

    def look(self, claim: Claim, now: float) -> Standing:
        busy = max(self.full_at - now, 0.0)
        wait = busy + claim.amount * MINUTE / claim.limit - MINUTE
        left = (MINUTE - busy) * claim.limit / MINUTE
        return Standing(True, left, busy) if wait <= _SLACK else Standing(False, left, wait)

    def take(self, claim: Claim, now: float) -> Standing:
        self._add(claim.amount * MINUTE / claim.limit, now)
        busy = self.full_at - now
        return Standing(True, max((MINUTE - busy) * claim.limit / MINUTE, 0.0), busy)

    def correct(self, change: Change, now: float) -> None:
        seconds = change.amount * MINUTE / change.claim.limit
        if seconds > 0:
            self._add(seconds, now)
        elif change.since >= self.was_full:
            self.full_at += seconds

    def _add(self, seconds: float, now: float) -> None:
        if self.full_at <= now:
            self.full_at = self.was_full = now
        self.full_at += seconds


class Spent(NamedTuple):
    """What was spent of one budget in the day or month that `window` names."""

    window: str
    usd: float


class Ledger(Protocol):
    """Keeps what was spent beyond this process."""

    async def open(self, windows: Sequence[str]) -> Mapping[str, Spent]:
        """What is spent already in these windows, by counter."""
        ...

    def add(self, counter: str, window: str, usd: float) -> None: ...
    async def close(self) -> None: ...


class InProcess:
    """`now` is the time of day, in seconds since 1970."""

    def __init__(self, now: Callable[[], float] = time.time, ledger: Ledger | None = None) -> None:
        self._now = now
        self._ledger = ledger
        self._rates: defaultdict[str, Rate] = defaultdict(Rate)
        self._seats: defaultdict[str, int] = defaultdict(int)
        self._spent: dict[str, Spent] = {}

    async def open(self, windows: Sequence[str]) -> None:
        if self._ledger is not None:
            self._spent.update(await self._ledger.open(windows))

    async def reserve(self, id: str, claims: Sequence[Claim]) -> Reservation:
        now = self._now()
        standings = [self._look(claim, now) for claim in claims]
        if all(standing.granted for standing in standings):
            standings = [self._take(claim, now) for claim in claims]
        return Reservation(now, standings)

    def settle(self, id: str, changes: Sequence[Change]) -> None:
        now = self._now()
        for change in changes:
            claim = change.claim
            if claim.kind == "rate":
                self._rates[claim.counter].correct(change, now)
            elif claim.kind == "seats":
                self._free(claim.counter)
            else:
                self._spend(claim, change.amount)
                if self._ledger is not None:
                    self._ledger.add(claim.counter, claim.window, claim.amount + change.amount)

    async def close(self) -> None:
        if self._ledger is not None:
            await self._ledger.close()

    def _look(self, claim: Claim, now: float) -> Standing:
        if claim.kind == "rate":
            return self._rates[claim.counter].look(claim, now)
        if claim.kind == "seats":
            left = claim.limit - self._seats.get(claim.counter, 0)
            return Standing(left >= 1, left, SEAT_WAIT)
        left = claim.limit - self._spent_of(claim)
        return Standing(left > 0, max(left, 0.0), claim.ends - now)

    def _take(self, claim: Claim, now: float) -> Standing:
        if claim.kind == "rate":
            return self._rates[claim.counter].take(claim, now)
        if claim.kind == "seats":
            self._seats[claim.counter] += 1
            return Standing(True, claim.limit - self._seats[claim.counter], 0.0)
        self._spend(claim, claim.amount)
        return Standing(True, max(claim.limit - self._spent_of(claim), 0.0), claim.ends - now)

    def _free(self, counter: str) -> None:
        self._seats[counter] -= 1
        if self._seats[counter] <= 0:
            del self._seats[counter]

    def _spent_of(self, claim: Claim) -> float:
        spent = self._spent.get(claim.counter)
        return spent.usd if spent is not None and spent.window == claim.window else 0.0

    def _spend(self, claim: Claim, usd: float) -> None:
        spent = self._spent.get(claim.counter)
        if spent is None or spent.window < claim.window:
            spent = Spent(claim.window, 0.0)
        if spent.window == claim.window:  # else it began in a window that is over
            self._spent[claim.counter] = Spent(claim.window, spent.usd + usd)
