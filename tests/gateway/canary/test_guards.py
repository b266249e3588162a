"""Tests for gateway/canary/guards.py: when a candidate is worse than chance explains."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from gateway.canary.guards import Answer, Broken, Tally, judge
from programs.canary import CanaryGuards

GUARDS = CanaryGuards()


def answers(n: int, *, failed: int = 0, unparseable: int = 0, seconds: float = 1.0) -> list[Answer]:
    """`n` of them, of which some ended badly; they take up to twice the seconds."""
    return [
        Answer(0.0, i < failed, failed <= i < failed + unparseable, seconds * (1 + i / n)) for i in range(n)
    ]


def judged(candidate: list[Answer], champion: list[Answer], guards: CanaryGuards = GUARDS) -> Broken | None:
    return judge(guards, Tally.of(champion), Tally.of(candidate))


def guard_of(broken: Broken | None) -> str | None:
    return None if broken is None else broken.guard


def test_a_candidate_like_the_champion_breaks_nothing() -> None:
    assert judged(answers(100, failed=2), answers(900, failed=18)) is None


def test_a_candidate_that_always_fails_is_found_as_soon_as_it_may_be() -> None:
    assert judged(answers(19, failed=19), answers(180)) is None
    assert guard_of(judged(answers(20, failed=20), answers(180))) == "errors"


def test_unreadable_answers_are_told_apart_from_failures() -> None:
    broken = judged(answers(40, unparseable=10), answers(400, unparseable=4))
    assert broken == Broken(
        "unparseable",
        "10 of 40 requests (25 %) could not be read or broke a check, against 4 of 400 (1 %) of the "
        "champion; at most 2 points more may",
    )


def test_an_engine_that_fails_both_alike_is_no_fault_of_the_candidate() -> None:
    assert judged(answers(50, failed=40), answers(450, failed=360)) is None


def test_one_bad_answer_among_few_is_chance() -> None:
    assert judged(answers(20, failed=1), answers(180)) is None


def test_a_slower_candidate_is_found_by_its_95th_percentile() -> None:
    assert judged(answers(60, seconds=1.2), answers(500)) is None
    broken = judged(answers(60, seconds=2.0), answers(500))
    assert broken is not None and broken.guard == "latency"
    assert "came within 3.9" in broken.reason and "champion's is 1.95 s" in broken.reason


def test_absolute_limits_need_no_champion() -> None:
    guards = CanaryGuards(max_error_increase=None, max_p95_increase=None, max_errors=0.1, max_p95_seconds=2.5)
    assert judged(answers(40, failed=2), [], guards) is None
    assert guard_of(judged(answers(40, failed=20), [], guards)) == "errors"
    assert guard_of(judged(answers(40, seconds=2), [], guards)) == "latency"


def test_a_champion_that_answers_nothing_is_taken_to_make_no_mistakes() -> None:
    assert judged(answers(200), []) is None
    assert guard_of(judged(answers(200, failed=30), [])) == "errors"


@pytest.mark.parametrize("seed", range(4))
def test_an_equal_candidate_is_hardly_ever_ended_however_often_it_is_looked_at(seed: int) -> None:
    draws = random.Random(seed)

    def drawn() -> Iterator[Answer]:
        while True:
            yield Answer(0.0, draws.random() < 0.02, draws.random() < 0.02, draws.lognormvariate(0, 0.5))

    ended = 0
    for _ in range(10):
        stream = drawn()
        champion, candidate = ([next(stream) for _ in range(n)] for n in (1_800, 200))
        looks = [judged(candidate[:n], champion[: 9 * n]) for n in range(20, 201, 20)]
        ended += any(looks)
    assert ended == 0
