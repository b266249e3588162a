"""Tests for compiler/evaluation/live.py: what counts of two releases say, beside SciPy and by simulation."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from compiler.evaluation.live import Line, LiveComparison, Side, Times
from programs.proportions import Counted

EDGES = (0.0, 0.25, 0.5, 1.0, 2.5, 5.0, math.inf)


def binned(times: np.ndarray) -> Times:
    """As a histogram of Prometheus has them."""
    return Times({high: int(((times > low) & (times <= high)).sum()) for low, high in pairwise(EDGES)}, True)


def side(name: str, n: int = 100, errors: int = 0, unparseable: int = 0, **more: object) -> Side:
    times = more.pop("times", Times({1.0: n}))
    assert isinstance(times, Times)
    return Side(name, Counted(errors, n), Counted(unparseable, n), times, **more)  # type: ignore[arg-type]


def line(found: LiveComparison, what: str) -> Line:
    return next(line for line in found.lines if line.what == what)


def test_shares_have_both_intervals_and_fishers_p() -> None:
    from scipy import stats  # half a second, which no other test needs

    found = line(LiveComparison(side("a", 400, errors=4), side("b", 100, errors=8)), "errors")
    assert found.a is not None and found.a == pytest.approx((0.01, 0.0039, 0.0254), abs=1e-4)
    assert found.difference is not None and 0.02 < found.difference.low < 0.07 < found.difference.high < 0.15
    assert found.p == stats.fisher_exact([[4, 396], [8, 92]]).pvalue and found.more


def test_times_one_by_one_are_tested_as_scipy_does() -> None:
    from scipy import stats

    rng = np.random.default_rng(1)
    a, b = (rng.lognormal(mean, 0.5, n).round(1) for mean, n in ((0, 300), (0.2, 80)))
    found = LiveComparison(
        *(side(name, times=Times(Counter(map(float, x)))) for name, x in (("a", a), ("b", b)))
    )
    expected = stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=False).pvalue
    assert line(found, "seconds, median").p == pytest.approx(expected)
    assert line(found, "seconds, median").more


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_quantile_of_bins_is_near_that_of_the_times(share: float) -> None:
    times = np.random.default_rng(2).uniform(0, 5, 4_000)
    found = binned(times).quantile(share)
    assert found.mean == pytest.approx(np.quantile(times, share), abs=0.1)
    assert found.low < found.mean < found.high and found.high - found.low < 0.3


def test_about_95_of_100_intervals_hold_the_median() -> None:
    rng = np.random.default_rng(3)
    truth = math.exp(0)
    held = [Times(Counter(map(float, rng.lognormal(0, 1, 60)))).quantile(0.5) for _ in range(300)]
    assert 0.92 <= sum(it.low <= truth <= it.high for it in held) / 300 <= 0.995


def test_a_quantile_beyond_the_last_bound_is_not_known() -> None:
    assert binned(np.array([1.0] * 10 + [600.0] * 90)).quantile(0.5).mean == math.inf


def test_equal_releases_differ_beyond_chance_about_once_in_twenty_times_at_most() -> None:
    rng = np.random.default_rng(4)

    def drawn(n: int) -> Side:
        errors, unparseable = int(rng.binomial(n, 0.03)), int(rng.binomial(n, 0.05))
        scores, times = list(rng.choice([0.0, 1.0], n // 4)), binned(rng.lognormal(0, 0.7, n))
        return Side("x", Counted(errors, n), Counted(unparseable, n), times, scores=scores)

    false = sum(bool(LiveComparison(drawn(300), drawn(60)).beyond_chance()) for _ in range(60))
    assert false <= 8


def test_what_differs_is_found_and_the_rest_is_not() -> None:
    a = side("a", 900, errors=9, usd=[1e-5, 2e-5] * 45)
    b = side("b", 100, unparseable=12, usd=[2e-5, 4e-5] * 20)
    assert [line.what for line in LiveComparison(a, b).beyond_chance()] == ["unparseable", "USD per request"]


def test_what_was_not_counted_is_unknown_and_never_0() -> None:
    found = LiveComparison(side("a", 10), side("b", 0, times=Times({})))
    assert {line.what: line.b for line in found.lines} == {
        "errors": None,
        "unparseable": None,
        "seconds, median": None,
        "seconds, 95 %": None,
        "USD per request": None,
    }
    assert found.corrected == {} and found.beyond_chance() == []
