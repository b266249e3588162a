from __future__ import annotations

import math
import random

import pytest

from benchmarks.study_share import Point, pareto_front, share_of


def paired(rng: random.Random, n: int, right: float, keeps: float) -> tuple[list[float], list[float]]:
    """A reference that is right so often, and a student that is right on so many of the same rows."""
    reference = [float(rng.random() < right) for _ in range(n)]
    scores = [float(rng.random() < (keeps if one else 0.2)) for one in reference]
    return scores, reference


@pytest.mark.parametrize(("n", "right", "keeps"), [(40, 0.8, 0.9), (100, 0.9, 0.8), (300, 0.6, 0.95)])
def test_the_interval_of_right_or_wrong_scores_holds_the_true_share(
    n: int, right: float, keeps: float
) -> None:
    rng = random.Random(n)
    true = (right * keeps + (1 - right) * 0.2) / right
    shares = [share_of(*paired(rng, n, right, keeps)) for _ in range(1_000)]
    held = sum(share is not None and share.low <= true <= share.high for share in shares)
    assert 930 <= held <= 985


def test_the_interval_of_graded_scores_holds_the_true_share() -> None:
    rng, held = random.Random(1), 0
    for _ in range(100):
        reference = [rng.uniform(0.4, 1.0) for _ in range(80)]
        scores = [min(1.0, 0.8 * one + rng.uniform(-0.2, 0.2)) for one in reference]
        share = share_of(scores, reference)
        held += share is not None and share.low <= 0.8 <= share.high
    assert held >= 88


def test_a_share_is_that_of_the_means_and_of_the_same_rows() -> None:
    share = share_of([1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0])
    assert share is not None and share.value == 0.5 and share.low < 0.5 < share.high
    graded = share_of([0.25] * 10, [0.5] * 10)
    assert graded is not None and graded == (0.5, 0.5, 0.5)


def test_more_confidence_is_a_wider_interval() -> None:
    scores, reference = paired(random.Random(3), 100, 0.8, 0.9)
    narrow, wide = share_of(scores, reference), share_of(scores, reference, 0.995)
    assert narrow is not None and wide is not None
    assert wide.low < narrow.low and narrow.high < wide.high and wide.value == narrow.value


def test_of_a_reference_that_scores_nothing_there_is_no_share() -> None:
    assert share_of([1.0, 0.0], [0.0, 0.0]) is None
    hardly = share_of([0.3, 0.2, 0.1], [0.1, 0.0, 0.0])
    assert hardly is not None and math.isinf(hardly.high)
    never = share_of([0.0] * 5, [1.0] * 5)
    assert never is not None and never.value == never.low == 0.0 < never.high


def test_the_front_holds_who_is_beaten_by_nobody_as_cheap() -> None:
    points = {
        "dear": Point(9.0, 90.0), "worse": Point(2.0, 40.0), "cheap": Point(1.0, 50.0),
        "same": Point(9.0, 80.0), "middle": Point(3.0, 70.0), "no better": Point(4.0, 70.0),
    }  # fmt: skip
    assert [name for name, _ in pareto_front(list(points.items()))] == ["cheap", "middle", "dear"]
    assert pareto_front([]) == []
