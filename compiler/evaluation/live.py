"""Two releases by the requests that a gateway answered with them: what differs, and whether beyond chance.

The requests of the two are different ones, so nothing is paired. Knows nothing of where the numbers are read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from compiler.evaluation.statistics import CONFIDENCE, Interval, holm, mean_interval
from programs.proportions import Counted, difference_bounds, share_bounds

_MOST_RESAMPLED = 10_000  # values; the mean of more is as good as normal
_FEWEST = 2  # values that have a spread


@dataclass(frozen=True)
class Times:
    """How long requests took: how many took each time, or, where `binned`, no longer than that and longer
    than the time before it.
    """

    counts: Mapping[float, int]
    binned: bool = False

    @property
    def n(self) -> int:
        return sum(self.counts.values())

    def quantile(self, share: float) -> Interval:
        """The time that this share of requests keeps to; its bounds are the times of the ranks around it."""
        from scipy import stats

        n, tail = self.n, (1 - CONFIDENCE) / 2
        ranks = (share * n, stats.binom.ppf(tail, n, share), stats.binom.ppf(1 - tail, n, share) + 1)
        return Interval(*(self._at(min(max(float(rank), 1.0), float(n))) for rank in ranks))

    def _at(self, rank: float) -> float:
        """The time of a rank, counted from 1; within a bin times are taken to be spread evenly."""
        before, low = 0, 0.0
        for high, count in sorted(self.counts.items()):
            if rank <= before + count:
                inside = self.binned and math.isfinite(high)
                return low + (high - low) * (rank - before) / count if inside else high
            before, low = before + count, high
        return low


@dataclass(frozen=True)
class Side:
    """What one release answered, or should have: `errors` and `unparseable` are apart.

    `usd` are the costs of single requests, where they are known one by one, else `usd_each` is their mean.
    """

    release: str
    errors: Counted
    unparseable: Counted
    times: Times
    usd_each: float | None = None
    usd: Sequence[float] = ()
    scores: Sequence[float] = ()
    """What clients said of answers, from 0 to 1."""


What = Literal["errors", "unparseable", "seconds, median", "seconds, 95 %", "USD per request", "feedback"]


class Bounds(NamedTuple):
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """One number of both sides. A difference is of B less A; `p` is that of there being none, and `more`
    whether B has more of it.

    What is None can't be known from what was counted.
    """

    what: What
    a: Interval | None
    b: Interval | None
    n: tuple[int, int]
    difference: Bounds | None = None
    p: float | None = None
    more: bool = False


@dataclass(frozen=True)
class LiveComparison:
    a: Side
    b: Side
    lines: Sequence[Line] = field(init=False)
    corrected: Mapping[str, float] = field(init=False)
    """The p of each line that has one, so that one false find among all stays as rare as in one."""

    def __post_init__(self) -> None:
        lines = list(_lines(self.a, self.b))
        tested = [(line.what, line.p) for line in lines if line.p is not None]
        object.__setattr__(self, "lines", lines)
        corrected = holm([p for _, p in tested])
        object.__setattr__(self, "corrected", dict(zip((what for what, _ in tested), corrected, strict=True)))

    def beyond_chance(self) -> list[Line]:
        return [line for line in self.lines if self.corrected.get(line.what, 1.0) < 1 - CONFIDENCE]

    def as_dict(self) -> dict[str, Any]:
        """What --json prints."""
        lines = [
            {
                "what": line.what,
                "a": line.a and line.a._asdict(),
                "b": line.b and line.b._asdict(),
                "n": line.n,
                "difference": line.difference and line.difference._asdict(),
                "p": line.p,
                "p_corrected": self.corrected.get(line.what),
            }
            for line in self.lines
        ]
        beyond = [line.what for line in self.beyond_chance()]
        return {"a": self.a.release, "b": self.b.release, "lines": lines, "beyond_chance": beyond}


def _lines(a: Side, b: Side) -> Iterator[Line]:
    yield _shares("errors", a.errors, b.errors)
    yield _shares("unparseable", a.unparseable, b.unparseable)
    yield from _latency(a.times, b.times)
    yield _cost(a, b)
    if a.scores or b.scores:
        yield _means("feedback", a.scores, b.scores)


def _shares(what: What, a: Counted, b: Counted) -> Line:
    from scipy import stats

    if not a.n or not b.n:
        return Line(what, _share(a), _share(b), (a.n, b.n))
    table = [[a.hits, a.n - a.hits], [b.hits, b.n - b.hits]]
    p = float(stats.fisher_exact(table).pvalue)
    difference = Bounds(*difference_bounds(a, b))
    return Line(what, _share(a), _share(b), (a.n, b.n), difference, p, b.share > a.share)


def _share(counted: Counted) -> Interval | None:
    return Interval(counted.share, *share_bounds(counted)) if counted.n else None


def _latency(a: Times, b: Times) -> Iterator[Line]:
    """Two quantiles, and beside the first one test of all times: whether one release tends to take longer."""
    n = (a.n, b.n)
    p, longer = _rank_test(a.counts, b.counts) if all(n) else (None, False)
    yield Line("seconds, median", _quantile(a, 0.5), _quantile(b, 0.5), n, p=p, more=longer)
    yield Line("seconds, 95 %", _quantile(a, 0.95), _quantile(b, 0.95), n)


def _quantile(times: Times, share: float) -> Interval | None:
    return times.quantile(share) if times.n else None


def _rank_test(a: Mapping[float, int], b: Mapping[float, int]) -> tuple[float, bool]:
    """Mann and Whitney's p, corrected for ties, which times in bins are full of; and whether b is longer."""
    from scipy import stats

    n, m = sum(a.values()), sum(b.values())
    below, u, ties = 0, 0.0, 0.0
    for value in sorted({*a, *b}):
        mine, other = a.get(value, 0), b.get(value, 0)
        u += other * (below + mine / 2)
        below += mine
        ties += (mine + other) ** 3 - (mine + other)
    both = n + m
    spread = n * m / 12 * (both + 1 - ties / (both * (both - 1)))
    p = 1.0 if spread <= 0 else float(2 * stats.norm.sf(abs(u - n * m / 2) / math.sqrt(spread)))
    return p, u > n * m / 2


def _cost(a: Side, b: Side) -> Line:
    if a.usd or b.usd:
        return _means("USD per request", a.usd, b.usd)
    # Sums alone have no spread.
    one, other = (
        None if side.usd_each is None else Interval(side.usd_each, math.nan, math.nan) for side in (a, b)
    )
    return Line("USD per request", one, other, (a.errors.n, b.errors.n))


def _means(what: What, a: Sequence[float], b: Sequence[float]) -> Line:
    from scipy import stats

    one, other, n = _mean(a), _mean(b), (len(a), len(b))
    if min(n) < _FEWEST or len({*a}) == len({*b}) == 1:
        return Line(what, one, other, n)
    # Welch's: the two may spread differently.
    test = stats.ttest_ind(b, a, equal_var=False)
    bounds = test.confidence_interval(CONFIDENCE)
    more = float(test.statistic) > 0
    return Line(what, one, other, n, Bounds(float(bounds.low), float(bounds.high)), float(test.pvalue), more)


def _mean(values: Sequence[float]) -> Interval | None:
    from scipy import stats

    if not values:
        return None
    if len(values) <= _MOST_RESAMPLED:
        return mean_interval(values)
    mean, reach = sum(values) / len(values), stats.sem(values) * stats.norm.ppf((1 + CONFIDENCE) / 2)
    return Interval(mean, float(mean - reach), float(mean + reach))
