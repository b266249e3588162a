"""What a search tried, in its order: a reader of a build's events, kept in the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from compiler.events import CandidateScored, Event, Spent


@dataclass(frozen=True)
class Tried:
    """One candidate as its score became known; `calls` and `seconds` are the search's own until then."""

    order: int
    name: str
    score: float
    n: int
    dropped: bool
    prompt_tokens: int | None
    demos: int
    calls: int
    seconds: float


class History:
    """Keeps every candidate that was scored; a resumed build tells of all of them once more."""

    def __init__(self) -> None:
        self._tried: list[Tried] = []
        self._spent = Spent(0, 0, 0, None, 0.0)

    def beside(self, report: Callable[[Event], None]) -> Callable[[Event], None]:
        """Reads what is reported, and passes it on."""

        def tell(event: Event) -> None:
            self.read(event)
            report(event)

        return tell

    def read(self, event: Event) -> None:
        if isinstance(event, Spent):
            self._spent = event
        elif isinstance(event, CandidateScored):
            calls = sum(made.calls for made in self._spent.phases if made.phase == "optimise")
            self._tried.append(
                Tried(
                    order=len(self._tried) + 1,
                    name=event.name,
                    score=event.score,
                    n=event.n,
                    dropped=event.dropped,
                    prompt_tokens=event.prompt_tokens,
                    demos=event.demos,
                    calls=calls,
                    seconds=self._spent.seconds,
                )
            )

    def candidates(self) -> list[dict[str, Any]]:
        """Every candidate in the order in which it was done with."""
        return [asdict(tried) for tried in self._tried]

    def rises(self) -> list[dict[str, Any]]:
        """The candidates that were the best so far on all dev examples when they were scored."""
        rises: list[Tried] = []
        for tried in self._tried:
            if not tried.dropped and (not rises or tried.score > rises[-1].score):
                rises.append(tried)
        return [
            {"order": rise.order, "calls": rise.calls, "seconds": rise.seconds, "best": rise.score}
            for rise in rises
        ]
