"""Tests for gateway/canary/sheet.py: what several workers tell each other of a canary."""

from __future__ import annotations

from pathlib import Path

from gateway.canary.guards import Answer
from gateway.canary.sheet import Seen, Sheet, sheet_of
from gateway.shared import Shared


def seen(first: int, last: int) -> list[Seen]:
    return [
        Seen(at % 2 == 0, Answer(float(at), at % 3 == 0, at % 5 == 0, at / 8)) for at in range(first, last)
    ]


def test_each_worker_gets_what_all_saw_once(tmp_path: Path) -> None:
    one, other = (Sheet(tmp_path / "quiz.canary") for _ in range(2))
    assert one.exchange(seen(0, 3)) == seen(0, 3)
    assert other.exchange(seen(3, 5)) == seen(0, 5)
    assert one.exchange([]) == seen(3, 5) and one.exchange([]) == other.exchange([]) == []


def test_a_worker_that_comes_later_gets_the_newest_of_what_was_seen_before(tmp_path: Path) -> None:
    Sheet(tmp_path / "quiz.canary").exchange(seen(0, 30_000))
    assert Sheet(tmp_path / "quiz.canary").exchange([]) == seen(10_000, 30_000)


def test_two_trials_have_a_sheet_each_and_a_single_worker_none(tmp_path: Path) -> None:
    shared = Shared(tmp_path, workers=2)
    first, second = (sheet_of(shared, "quiz", version) for version in ("a", "b"))
    assert first is not None and second is not None
    assert first.exchange(seen(0, 2)) == seen(0, 2) and second.exchange([]) == []
    assert sheet_of(Shared(tmp_path), "quiz", "a") is None
