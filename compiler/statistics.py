"""What a score on a sample says: a mean with its 95 % interval, and a paired test of two programs.

Scores are from 0 to 1. Where all are 0 or 1 the exact or standard method for counts is used, else one that
assumes no distribution. Knows nothing of programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any, Literal, NamedTuple

from compiler.events import PairedTest

CONFIDENCE = 0.95
_RESAMPLES = 9_999


class Interval(NamedTuple):
    mean: float
    low: float
    high: float


def mean_interval(scores: Sequence[float], seed: int = 0) -> Interval:
    """Wilson's interval for right-or-wrong scores, else a seeded percentile bootstrap."""
    from scipy import stats

    mean = fmean(scores)
    if _binary(scores):
        bounds = stats.binomtest(round(sum(scores)), len(scores)).proportion_ci(CONFIDENCE, method="wilson")
        return Interval(mean, float(bounds.low), float(bounds.high))
    return Interval(mean, *_bootstrap(scores, seed))


def paired_test(before: Sequence[float], after: Sequence[float], seed: int = 0) -> PairedTest:
    """Two-sided test that `after` and `before`, scores of the same examples in order, differ by chance.

    Right-or-wrong scores: McNemar's exact test on the examples where they disagree. Graded scores: a seeded
    permutation test that flips the signs of the differences.
    """
    from scipy import stats

    differences = [b - a for a, b in zip(before, after, strict=True)]
    won, lost = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    if not won and not lost:
        kind: Literal["mcnemar", "sign-flip"] = "mcnemar" if _binary([*before, *after]) else "sign-flip"
        return PairedTest(0.0, 0.0, 0.0, 1.0, len(before), 0, 0, kind)
    low, high = _bootstrap(differences, seed)
    if _binary([*before, *after]):
        p = float(stats.binomtest(won, won + lost).pvalue)
        return PairedTest(fmean(differences), low, high, p, len(before), won, lost, "mcnemar")
    flipped = stats.permutation_test(
        (differences,),
        _row_means,
        permutation_type="samples",
        vectorized=True,
        n_resamples=_RESAMPLES,
        rng=seed,
    )
    return PairedTest(
        fmean(differences), low, high, float(flipped.pvalue), len(before), won, lost, "sign-flip"
    )


def holm(ps: Sequence[float]) -> list[float]:
    """P values of several comparisons, corrected so that one false gain among all stays as rare as in one.

    Holm, "A simple sequentially rejective multiple test procedure" (1979).
    """
    corrected = [0.0] * len(ps)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
        corrected[index] = highest
    return corrected


def _binary(scores: Sequence[float]) -> bool:
    return all(score in (0.0, 1.0) for score in scores)


def _bootstrap(values: Sequence[float], seed: int) -> tuple[float, float]:
    from scipy import stats

    if len(values) < 2:
        return values[0], values[0]
    bounds = stats.bootstrap(
        (values,),
        _row_means,
        confidence_level=CONFIDENCE,
        n_resamples=_RESAMPLES,
        method="percentile",
        vectorized=True,
        rng=seed,
    ).confidence_interval
    return float(bounds.low), float(bounds.high)


def _row_means(values: Any, axis: int) -> Any:
    return values.mean(axis=axis)
