"""What a request claims of the counters, and what a place that counts has to do.

A request gets all its claims or none. Three kinds of counters:

- a `rate` is a bucket that holds a minute's worth and refills evenly (the generic cell rate algorithm): after
  quiet a whole minute's worth may come at once, and over time never more than the limit per minute comes;
- `seats` are held while requests run;
- a `budget` is spent over a day or month of UTC. It lets a request in while anything is left of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

Kind = Literal["rate", "seats", "budget"]

MINUTE = 60.0
SEAT_WAIT = 1.0
"""Seconds after which a seat may be asked for again: nobody knows when one becomes free."""


class Claim(NamedTuple):
    """What a request wants of one counter. `window` names a budget's day or month, which ends at `ends`."""

    counter: str
    kind: Kind
    limit: float
    amount: float
    window: str = ""
    ends: float = 0.0


class Standing(NamedTuple):
    """How a counter stands after it was asked for a claim; `left` is what it still has.

    `seconds` are those until it is as if never used, or, where it refused, until it may grant the claim.
    """

    granted: bool
    left: float
    seconds: float


class Reservation(NamedTuple):
    """What the counters said to a request's claims, in their order; `at` is the time by their clock."""

    at: float
    standings: Sequence[Standing]

    @property
    def granted(self) -> bool:
        return all(standing.granted for standing in self.standings)


class Change(NamedTuple):
    """What a counter has to take back or add once a request is over, beyond what was reserved at `since`."""

    claim: Claim
    amount: float
    since: float


class CountersGone(Exception):
    """Nothing can be counted; the message is a sentence for the client, the cause for the log.

    `comes_back` says whether it is worth waiting.
    """

    def __init__(self, message: str, *, comes_back: bool = True) -> None:
        super().__init__(message)
        self.comes_back = comes_back


class Counting(Protocol):
    """A place that counts. `id` is the request's own, and holds its seats."""

    async def open(self, windows: Sequence[str]) -> None:
        """Readies it for requests; `windows` are the days and months that run now. Raises StartFailed."""
        ...

    async def reserve(self, id: str, claims: Sequence[Claim]) -> Reservation:
        """All claims, or none of them. Raises CountersGone."""
        ...

    def settle(self, id: str, changes: Sequence[Change]) -> None:
        """Corrects what was reserved, and frees the seats among it. Neither blocks nor fails."""
        ...

    async def close(self) -> None:
        """Writes what is still to be written, as far as that can be done soon."""
        ...
