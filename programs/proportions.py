"""What counts say of shares: Wilson's interval for one, Newcombe's for the difference of two.

Both hold where shares are near 0 or 1 and counts are small, which is where errors are counted. Plain Python,
because the gateway judges canaries by them.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

NORMAL_95 = 1.959964
"""Of a standard normal distribution, 95 % lie within so far of its mean."""


class Counted(NamedTuple):
    """How many of `n` are of some kind."""

    hits: int
    n: int

    @property
    def share(self) -> float:
        return self.hits / self.n


class Bounds(NamedTuple):
    low: float
    high: float


def share_bounds(counted: Counted, z: float = NORMAL_95) -> Bounds:
    """Wilson's score interval; from 0 to 1 where nothing was counted."""
    if not counted.n:
        return Bounds(0.0, 1.0)
    n, share = counted.n, counted.share
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # The outermost counts have exact ends, which rounding would miss.
    low = 0.0 if counted.hits == 0 else max(0.0, middle - reach)
    return Bounds(low, 1.0 if counted.hits == n else min(1.0, middle + reach))


def difference_bounds(before: Counted, after: Counted, z: float = NORMAL_95) -> Bounds:
    """The share of `after` less that of `before`, for two samples that were counted apart.

    Newcombe, "Interval estimation for the difference between independent proportions" (1998), method 10.
    """
    if not before.n or not after.n:
        return Bounds(-1.0, 1.0)
    old, new = share_bounds(before, z), share_bounds(after, z)
    difference = after.share - before.share
    low = difference - sqrt((after.share - new.low) ** 2 + (old.high - before.share) ** 2)
    high = difference + sqrt((new.high - after.share) ** 2 + (before.share - old.low) ** 2)
    return Bounds(low, high)
