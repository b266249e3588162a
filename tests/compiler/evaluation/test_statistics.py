from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from compiler.evaluation.statistics import chance_of_gain, holm, mean_interval, paired_test


def test_right_or_wrong_scores_get_wilsons_interval() -> None:
    interval = mean_interval([1.0] * 80 + [0.0] * 20)
    assert interval == pytest.approx((0.8, 0.7112, 0.8666), abs=1e-4)


def test_a_perfect_score_is_not_certain() -> None:
    assert mean_interval([1.0] * 10).low == pytest.approx(0.7225, abs=1e-4)


def test_graded_scores_get_a_repeatable_bootstrap_interval() -> None:
    scores = [0.1, 0.5, 0.9, 0.5] * 25
    first, again = mean_interval(scores, seed=3), mean_interval(scores, seed=3)
    assert first == again and first.low < 0.5 < first.high


def test_mcnemar_counts_only_the_examples_where_programs_disagree() -> None:
    before, after = [0.0] * 9 + [1.0] * 91, [1.0] * 8 + [0.0] + [0.0] + [1.0] * 90
    test = paired_test(before, after)
    assert (test.won, test.lost, test.n, test.test) == (8, 1, 100, "mcnemar")
    assert test.p == pytest.approx(2 * (1 + 9) / 2**9)


def test_the_interval_of_the_difference_holds_its_mean() -> None:
    test = paired_test([0.0] * 30 + [1.0] * 70, [1.0] * 20 + [0.0] * 10 + [1.0] * 70)
    assert test.difference == pytest.approx(0.2)
    assert test.low < 0.2 < test.high


def test_graded_differences_are_tested_by_flipping_signs() -> None:
    before = [0.2, 0.4, 0.6, 0.5] * 10
    test = paired_test(before, [score + 0.1 for score in before])
    assert test.test == "sign-flip" and test.p < 0.01


def test_no_difference_is_no_evidence() -> None:
    assert paired_test([0.5, 1.0], [0.5, 1.0]).p == 1.0


def test_scores_of_other_examples_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="longer"):
        paired_test([1.0], [1.0, 0.0])


def test_a_difference_of_few_examples_is_uncertain_though_none_changed() -> None:
    test = paired_test([1.0] * 40, [1.0] * 40)
    assert test.difference == 0 and -0.08 < test.low < -0.05 and 0.05 < test.high < 0.08


def test_a_gain_has_half_the_chance_on_one_side() -> None:
    before, after = [0.0] * 9 + [1.0] * 91, [1.0] * 8 + [0.0] + [0.0] + [1.0] * 90
    assert chance_of_gain(before, after) == pytest.approx((1 + 9) / 2**9)
    assert chance_of_gain(after, before) > 0.99
    graded = [0.2, 0.4, 0.6, 0.5] * 10
    better = [score + 0.1 for score in graded]
    assert chance_of_gain(graded, better) < 0.01 < 0.99 < chance_of_gain(better, graded)
    assert chance_of_gain(graded, graded) == 1.0


def test_thousands_of_graded_scores_take_little_memory() -> None:
    scores = list(np.random.default_rng(0).random(1_000))
    mean_interval(scores)
    tracemalloc.start()
    mean_interval(scores)
    paired_test(scores, scores[::-1])
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 60 * 2**20  # the 9,999 resamples, all at once, would be 80 MB and their indices as much


# The truth is drawn with seeds, so these are repeatable; 400 draws place a share to about 2 points.
DRAWS = 400


@pytest.mark.parametrize(("n", "share"), [(20, 0.8), (100, 0.5), (300, 0.97)])
def test_the_interval_of_right_or_wrong_scores_holds_the_truth_in_95_of_100_cases(
    n: int, share: float
) -> None:
    rng = np.random.default_rng(1)
    intervals = [mean_interval([float(x) for x in rng.random(n) < share]) for _ in range(DRAWS)]
    held = sum(interval.low <= share <= interval.high for interval in intervals) / DRAWS
    assert 0.92 <= held <= 0.985


def test_the_interval_of_graded_scores_holds_the_truth_in_95_of_100_cases() -> None:
    rng = np.random.default_rng(2)
    intervals = [mean_interval(list(rng.beta(2, 1, 60))) for _ in range(60)]
    assert sum(interval.low <= 2 / 3 <= interval.high for interval in intervals) >= 53


@pytest.mark.parametrize(("n", "won", "lost"), [(40, 0.1, 0.02), (100, 0.1, 0.05), (300, 0.4, 0.02)])
def test_the_interval_of_a_difference_holds_the_truth_in_95_of_100_cases(
    n: int, won: float, lost: float
) -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(DRAWS):
        better, worse, same = rng.multinomial(n, [won, lost, 1 - won - lost])
        before = [0.0] * better + [1.0] * worse + [1.0] * same
        after = [1.0] * better + [0.0] * worse + [1.0] * same
        test = paired_test(before, after)
        held += test.low <= won - lost <= test.high
    assert 0.925 <= held / DRAWS <= 0.99


def test_equal_programs_differ_in_at_most_5_of_100_cases() -> None:
    rng = np.random.default_rng(4)
    found = 0
    for _ in range(DRAWS):
        before, after = ([float(x) for x in rng.random(60) < 0.6] for _ in range(2))
        found += paired_test(before, after).p < 0.05
    assert found / DRAWS <= 0.06


def test_graded_programs_that_are_equal_differ_in_at_most_5_of_100_cases() -> None:
    rng = np.random.default_rng(5)
    pairs = [(list(rng.random(30)), list(rng.random(30))) for _ in range(60)]
    assert sum(paired_test(before, after).p < 0.05 for before, after in pairs) <= 7


def test_of_many_comparisons_without_a_difference_few_families_have_a_false_one() -> None:
    rng = np.random.default_rng(6)
    families = [holm(list(rng.random(4))) for _ in range(DRAWS)]
    assert sum(min(family) < 0.05 for family in families) / DRAWS <= 0.075
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
