"""What a build has used, by phase and model, against the most it may use.

While it searches, a ceiling ends the search and leaves enough to measure what was found; later, when
measuring itself would go beyond it, it ends the build, which can be resumed. Time alone does not: what was
found is measured, however long that takes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from compiler.errors import CeilingExceeded, SearchEnded
from compiler.events import PhaseSpent, Role, Spent, Stage
from compiler.ledger import Ledger, Made, RecordedReply, Totals, total


class Ceiling(NamedTuple):
    """The most that a build may use; None is no limit. Minutes are those of this run of it."""

    usd: float | None = None
    calls: int | None = None
    minutes: float | None = None


NO_CEILING = Ceiling()


class Reserve(NamedTuple):
    """What measuring the found program will about take; USD are None where the price is unknown."""

    usd: float | None = 0.0
    calls: int = 0
    seconds: float = 0.0


NOTHING = Reserve()
_EXACT = 1e-12  # USD; sums of floats that differ by less are the same
MEASURING: tuple[Stage, ...] = ("baseline", "score")


class Spending:
    """Counts every paid call once, those of the build's earlier, interrupted runs included."""

    def __init__(self, ledger: Ledger, ceiling: Ceiling = NO_CEILING) -> None:
        self._by = dict(ledger.totals())
        self._ceiling = ceiling
        self._reserve = Reserve()
        self._begun = time.monotonic()
        self._under_way = 0
        self.phase: Stage = "check"
        self.search_over = False
        """The search was ended early: what is under way may still be answered, nothing more is asked."""

    def begin(self, phase: Stage, reserve: Reserve = NOTHING) -> None:
        """From now on calls are made in this phase, of which `reserve` must be left."""
        self.phase, self._reserve = phase, self._unpaid(reserve)
        self.search_over = False

    def add(self, reply: RecordedReply, role: Role = "student") -> None:
        made = Made(self.phase, role)
        self._by[made] = self._by.get(made, Totals()).plus(reply)

    @contextmanager
    def call(self) -> Iterator[None]:
        """One call, counted against the ceilings from its beginning.

        Raises:
            SearchEnded: while searching, when it would go beyond a ceiling.
            CeilingExceeded: in any other phase.
        """
        self._check()
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def refuse_without_room(self, reserve: Reserve) -> None:
        """Raises CeilingExceeded when there is not even room to measure what would be found."""
        reached = self._reached(self._unpaid(reserve), full=True)
        if reached is not None:
            raise CeilingExceeded(
                f"{reached}, and measuring alone will about take {_described(reserve)}: raise the ceiling, "
                "or give fewer test rows"
            )

    def _check(self) -> None:
        reached = self._reached(self._reserve)
        if self.phase == "optimise":
            if reached is not None or self.search_over:
                self.search_over = True
                raise SearchEnded(f"the search was ended: {reached or 'it is over'}")
        elif reached is not None:
            raise CeilingExceeded(f"{reached}; the build can be resumed with a higher one")

    def spent(self) -> Spent:
        sums = total(self._by.values())
        phases = (
            PhaseSpent(
                phase, role, made.calls, made.prompt_tokens, made.completion_tokens, made.usd, made.seconds
            )
            for (phase, role), made in self._by.items()
        )
        seconds = time.monotonic() - self._begun
        return Spent(sums.calls, sums.prompt_tokens, sums.completion_tokens, sums.usd, seconds, tuple(phases))

    def _unpaid(self, reserve: Reserve) -> Reserve:
        """What of it an earlier run of the build has not paid yet."""
        paid = total(made for (phase, _), made in self._by.items() if phase in MEASURING)
        share = max(0.0, 1 - paid.calls / reserve.calls) if reserve.calls else 1.0
        usd = None if reserve.usd is None else reserve.usd * share
        return Reserve(usd, round(reserve.calls * share), reserve.seconds * share)

    def _reached(self, left: Reserve, full: bool = False) -> str | None:
        """Which ceiling has no room for one more call, or for what is left alone where `full`, in words."""
        most, more = self._ceiling, 0 if full else self._under_way + 1
        sums = total(self._by.values())
        seconds = time.monotonic() - self._begun
        if most.usd is not None and sums.usd is not None:
            each = sums.usd / sums.calls if sums.calls else 0.0
            if sums.usd + more * each + (left.usd or 0.0) > most.usd + _EXACT:
                kept = f", {left.usd:.4f} kept for measuring" if left.usd and not full else ""
                return f"the build has cost {sums.usd:.4f} USD, the ceiling is {most.usd:g} USD{kept}"
        if most.calls is not None and sums.calls + more + left.calls > most.calls:
            made = sums.calls + self._under_way
            kept = f", {left.calls} kept for measuring" if left.calls and not full else ""
            return f"the build has made {made} calls, the ceiling is {most.calls} calls{kept}"
        searching = full or self.phase == "optimise"
        if searching and most.minutes is not None and seconds + left.seconds >= 60 * most.minutes:
            kept = f", {left.seconds / 60:.1f} kept for measuring" if left.seconds and not full else ""
            ceiling = f"the ceiling is {most.minutes:g} minutes{kept}"
            return f"the build has run {seconds / 60:.1f} minutes, {ceiling}"
        return None


def _described(reserve: Reserve) -> str:
    usd = f", {reserve.usd:.4f} USD" if reserve.usd else ""
    return f"{reserve.calls} calls{usd}, {reserve.seconds / 60:.1f} minutes"
