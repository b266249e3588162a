"""How much of a reference's score is reached on the same rows, with an interval; and who beats whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean
from typing import NamedTuple, TypeVar

CONFIDENCE = 0.95
_RESAMPLES = 9_999
_AT_ONCE = 500_000  # numbers held at once while resampling
_Named = TypeVar("_Named")


class Share(NamedTuple):
    """A ratio of two means; `high` is infinite where the reference may as well score nothing."""

    value: float
    low: float
    high: float


class Point(NamedTuple):
    """What answers cost and what they score."""

    cost: float
    score: float


def share_of(
    scores: Sequence[float], reference: Sequence[float], confidence: float = CONFIDENCE, seed: int = 0
) -> Share | None:
    """Mean score over the reference's mean score; None where the reference scores nothing.

    Scores of the same rows in the same order. Right-or-wrong: the hybrid interval for a ratio of paired
    proportions of Bonett and Price (2006), which a few dozen rows do not make too narrow. Graded: a seeded
    percentile bootstrap over the rows.
    """
    theirs = fmean(reference)
    if theirs == 0:
        return None
    value = fmean(scores) / theirs
    if all(score in (0.0, 1.0) for score in (*scores, *reference)):
        return Share(value, *_paired_proportions(scores, reference, confidence))
    return Share(value, *_bootstrap(scores, reference, confidence, seed))


def pareto_front(points: Sequence[tuple[_Named, Point]]) -> list[tuple[_Named, Point]]:
    """Those that none beats at the same or a lower cost, by rising cost."""
    front: list[tuple[_Named, Point]] = []
    for named, point in sorted(points, key=lambda it: (it[1].cost, -it[1].score)):
        if not front or point.score > front[-1][1].score:
            front.append((named, point))
    return front


def _paired_proportions(
    scores: Sequence[float], reference: Sequence[float], confidence: float
) -> tuple[float, float]:
    pairs = list(zip(scores, reference, strict=True))
    both, mine, theirs = (pairs.count(pair) for pair in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0)))
    n = both + mine + theirs  # rows that both get wrong say nothing of a ratio
    first, second = both + mine, both + theirs
    apart = math.sqrt((mine + theirs + 2) / ((first + 1) * (second + 1)))
    spreads = [math.sqrt((1 - (right + 1) / (n + 2)) / (right + 1)) for right in (first, second)]
    reach = apart / sum(spreads) * NormalDist().inv_cdf((1 + confidence) / 2)
    (low, high), (their_low, their_high) = (_wilson(right, n, reach) for right in (first, second))
    return low / their_high, high / their_low if their_low > 0 else math.inf


def _wilson(right: int, n: int, reach: float) -> tuple[float, float]:
    square = reach**2
    middle, half = 2 * right + square, reach * math.sqrt(square + 4 * right * (1 - right / n))
    return max(0.0, middle - half) / (2 * (n + square)), (middle + half) / (2 * (n + square))


def _bootstrap(
    scores: Sequence[float], reference: Sequence[float], confidence: float, seed: int
) -> tuple[float, float]:
    import numpy as np

    mine, theirs = np.array(scores), np.array(reference)
    rng = np.random.default_rng(seed)
    drawn = np.empty(_RESAMPLES)
    step = max(1, _AT_ONCE // len(mine))
    for begin in range(0, _RESAMPLES, step):
        part = drawn[begin : begin + step]
        rows = rng.integers(len(mine), size=(len(part), len(mine)))
        above, below = mine[rows].mean(axis=1), theirs[rows].mean(axis=1)
        part[:] = np.divide(above, below, out=np.full(len(part), math.inf), where=below > 0)
    drawn.sort()  # np.quantile makes NaN of two infinities
    tail = int((1 - confidence) / 2 * _RESAMPLES)
    return float(drawn[tail]), float(drawn[-1 - tail])
