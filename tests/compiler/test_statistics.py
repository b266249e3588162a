from __future__ import annotations

import pytest

from compiler.statistics import mean_interval, paired_test


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
