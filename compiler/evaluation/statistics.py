"""What a score on a sample says: a mean with its 95 % interval, and a paired test of two programs.

Scores are from 0 to 1. Where all are 0 or 1 the exact or standard method for counts is used, else one that
assumes no distribution. Simulations in the tests check how often intervals hold the truth and how often a
test finds a difference that is not there. Knows nothing of programs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any, Literal, NamedTuple

from compiler.events import PairedTest

CONFIDENCE = 0.95
_NORMAL = 1.959964  # of a standard normal distribution, 95 % lie within so far of its mean
_RESAMPLES = 9_999
_AT_ONCE = 500_000  # numbers held at once while resampling: 4 MB, with what SciPy makes of them 30

TestName = Literal["mcnemar", "sign-flip"]
TEST_NAMES: dict[TestName, str] = {
    "mcnemar": "McNemar's exact test",
    "sign-flip": "sign-flip permutation test",
}
"""What to call a test to a person."""


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
    differences = [b - a for a, b in zip(before, after, strict=True)]
    won, lost = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    binary = _binary([*before, *after])
    kind: TestName = "mcnemar" if binary else "sign-flip"
    low, high = _paired_interval(won, lost, len(before)) if binary else _bootstrap(differences, seed)
    p = 1.0
    if won or lost:
        p = _mcnemar(won, lost, "two-sided") if binary else _sign_flip(differences, seed, "two-sided")
    return PairedTest(fmean(differences), low, high, p, len(before), won, lost, kind)


def chance_of_gain(before: Sequence[float], after: Sequence[float], seed: int = 0) -> float:
    """One-sided p of the same tests: how likely a gain as large is where `after` is no better."""
    differences = [b - a for a, b in zip(before, after, strict=True)]
    won, lost = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    if not won and not lost:
        return 1.0
    if _binary([*before, *after]):
        return _mcnemar(won, lost, "greater")
    return _sign_flip(differences, seed, "greater")


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


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's rank correlation; None where either is the same for all."""
    from scipy import stats

    if len(set(one)) < 2 or len(set(other)) < 2:
        return None
    return float(stats.spearmanr(one, other).statistic)


def _binary(scores: Sequence[float]) -> bool:
    return all(score in (0.0, 1.0) for score in scores)


def _mcnemar(won: int, lost: int, alternative: str) -> float:
    from scipy import stats

    return float(stats.binomtest(won, won + lost, alternative=alternative).pvalue)


def _sign_flip(differences: Sequence[float], seed: int, alternative: str) -> float:
    from scipy import stats

    flipped = stats.permutation_test(
        (differences,),
        _row_means,
        permutation_type="samples",
        alternative=alternative,
        vectorized=True,
        n_resamples=_RESAMPLES,
        batch=max(1, _AT_ONCE // len(differences)),
        rng=seed,
    )
    return float(flipped.pvalue)


def _paired_interval(won: int, lost: int, n: int) -> tuple[float, float]:
    """The difference of two paired proportions, after Bonett and Price (2012).

    A bootstrap holds too little on a few dozen examples, and nothing where no example changed.
    """
    better, worse = (won + 1) / (n + 2), (lost + 1) / (n + 2)
    difference = better - worse
    reach = _NORMAL * math.sqrt((better + worse - difference**2) / (n + 2))
    return max(-1.0, difference - reach), min(1.0, difference + reach)


def _bootstrap(values: Sequence[float], seed: int) -> tuple[float, float]:
    from scipy import stats

    if len(set(values)) < 2:
        return values[0], values[0]
    bounds = stats.bootstrap(
        (values,),
        _row_means,
        confidence_level=CONFIDENCE,
        n_resamples=_RESAMPLES,
        method="percentile",
        vectorized=True,
        batch=max(1, _AT_ONCE // len(values)),
        rng=seed,
    ).confidence_interval
    return float(bounds.low), float(bounds.high)


def _row_means(values: Any, axis: int) -> Any:
    return values.mean(axis=axis)
