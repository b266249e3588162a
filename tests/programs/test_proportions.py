"""Tests for programs/proportions.py, beside published numbers and by simulation."""

from __future__ import annotations

import random

import pytest

from programs.proportions import Counted, difference_bounds, share_bounds


def test_wilsons_interval_is_as_published() -> None:
    bounds = share_bounds(Counted(81, 263))
    assert (bounds.low, bounds.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_newcombes_interval_is_as_published() -> None:
    bounds = difference_bounds(Counted(48, 80), Counted(56, 70))
    assert (bounds.low, bounds.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_the_ends_are_exact_and_nothing_is_known_of_nothing() -> None:
    assert share_bounds(Counted(0, 10)).low == 0 and share_bounds(Counted(10, 10)).high == 1
    assert share_bounds(Counted(0, 0)) == (0, 1)
    assert difference_bounds(Counted(0, 0), Counted(1, 1)) == (-1, 1)


def test_about_95_of_100_intervals_hold_the_true_difference() -> None:
    draws = random.Random(7)
    held = 0
    for _ in range(1_000):
        before = Counted(sum(draws.random() < 0.02 for _ in range(300)), 300)
        after = Counted(sum(draws.random() < 0.10 for _ in range(80)), 80)
        bounds = difference_bounds(before, after)
        held += bounds.low <= 0.08 <= bounds.high
    assert 0.93 <= held / 1_000 <= 0.98
