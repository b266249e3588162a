"""What a build has used, against the most it may cost."""

from __future__ import annotations

import time

from compiler.errors import CeilingExceeded
from compiler.events import Spent
from compiler.ledger import Ledger, RecordedReply, Totals


class Spending:
    """Counts every paid call once, those of the build's earlier, interrupted runs included."""

    def __init__(self, ledger: Ledger, max_usd: float | None) -> None:
        self._totals = ledger.totals()
        self._max_usd = max_usd
        self._begun = time.monotonic()

    def add(self, reply: RecordedReply) -> None:
        old, usage = self._totals, reply.usage
        self._totals = Totals(
            old.calls + 1,
            old.prompt_tokens + (usage.prompt_tokens if usage else 0),
            old.completion_tokens + (usage.completion_tokens if usage else 0),
            None if old.usd is None or reply.usd is None else old.usd + reply.usd,
            old.seconds + reply.seconds,
        )

    def check(self) -> None:
        """Raises CeilingExceeded once the build has cost what it may."""
        usd = self._totals.usd
        if self._max_usd is not None and usd is not None and usd >= self._max_usd:
            raise CeilingExceeded(
                f"the build has cost {usd:.4f} USD, the ceiling is {self._max_usd:g} USD; "
                "it can be resumed with a higher one"
            )

    def spent(self) -> Spent:
        totals, seconds = self._totals, time.monotonic() - self._begun
        return Spent(totals.calls, totals.prompt_tokens, totals.completion_tokens, totals.usd, seconds)
