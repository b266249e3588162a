"""What a build has used, by phase and model, against the most it may use.

While it searches, a ceiling ends the search and leaves enough to measure what was found; later, when
measuring itself would go beyond it, it ends the build, which can be resumed.
"""

from __future__ import annotations

import time
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
    """What measuring the found program will about take."""

    usd: float = 0.0
    calls: int = 0
    seconds: float = 0.0


NOTHING = Reserve()


class Spending:
    """Counts every paid call once, those of the build's earlier, interrupted runs included."""

    def __init__(self, ledger: Ledger, ceiling: Ceiling = NO_CEILING) -> None:
        self._by = dict(ledger.totals())
        self._ceiling = ceiling
        self._reserve = Reserve()
        self._begun = time.monotonic()
        self.phase: Stage = "check"

    def begin(self, phase: Stage, reserve: Reserve = NOTHING) -> None:
        """From now on calls are made in this phase, of which `reserve` must be left."""
        self.phase, self._reserve = phase, reserve

    def add(self, reply: RecordedReply, role: Role = "student") -> None:
        made = Made(self.phase, role)
        self._by[made] = self._by.get(made, Totals()).plus(reply)

    def check(self) -> None:
        """Raises when one more call would go beyond a ceiling.

        Raises:
            SearchEnded: while searching.
            CeilingExceeded: in any other phase.
        """
        reached = self._reached()
        if reached is None:
            return
        if self.phase == "optimise":
            raise SearchEnded(f"the search was ended: {reached}")
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

    def _reached(self) -> str | None:
        """Which ceiling there is no room under, as the beginning of a sentence."""
        most, left = self._ceiling, self._reserve
        sums = total(self._by.values())
        calls, usd = sums.calls, sums.usd
        seconds = time.monotonic() - self._begun
        if most.usd is not None and usd is not None and usd + left.usd >= most.usd:
            return f"the build has cost {usd:.4f} USD, the ceiling is {most.usd:g} USD"
        if most.calls is not None and calls + left.calls >= most.calls:
            return f"the build has made {calls} calls, the ceiling is {most.calls} calls"
        if most.minutes is not None and seconds + left.seconds >= 60 * most.minutes:
            return f"the build has run {seconds / 60:.1f} minutes, the ceiling is {most.minutes:g} minutes"
        return None
