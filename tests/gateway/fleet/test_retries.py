"""Tests for gateway/fleet/retries.py: a fleet that is down is not asked for everything three times."""

from __future__ import annotations

from engine.errors import (
    EngineReplyInvalid,
    EngineServerError,
    EngineTimeout,
    EngineUnreachable,
)
from gateway.fleet.retries import RetryBudget, is_mendable, pause


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def spent(budget: RetryBudget) -> int:
    """How many repeats there are."""
    return next(number for number in range(100_000) if not budget.spend())


def test_repeats_are_a_share_of_the_calls_and_a_few_more() -> None:
    budget = RetryBudget(0.2, Clock())
    few = spent(budget)
    assert few > 0
    for _ in range(1000):
        budget.earn()
    assert spent(budget) in (199, 200)


def test_what_was_spent_comes_back_with_time_and_what_was_earned_goes() -> None:
    clock = Clock()
    budget = RetryBudget(0.2, clock)
    for _ in range(1000):
        budget.earn()
    all_of_it = spent(budget)
    clock.now = 25.0
    assert 0 < spent(budget) < all_of_it


def test_without_a_share_only_the_few_are_left() -> None:
    budget = RetryBudget(0.0, Clock())
    for _ in range(1000):
        budget.earn()
    assert spent(budget) == spent(RetryBudget(0.0, Clock()))


def test_a_call_that_may_have_been_too_much_for_an_engine_is_not_passed_around() -> None:
    mended = [EngineUnreachable("x"), EngineServerError("x", status=500), EngineTimeout("x", phase="connect")]
    told = [
        EngineServerError("x", status=501),
        EngineTimeout("x", phase="first_byte"),
        EngineReplyInvalid("x"),
    ]
    assert all(map(is_mendable, mended)) and not any(map(is_mendable, told))


def test_repeats_of_what_failed_together_do_not_come_together() -> None:
    pauses = {pause(1) for _ in range(20)}
    assert len(pauses) == 20 and max(pauses) < 0.1
