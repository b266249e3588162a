"""Tests for programs/canary.py: the file that says which release gets a share of a program's requests."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from programs.aliases import move_alias
from programs.canary import (
    FILE,
    Canary,
    CanaryGuards,
    read_canary,
    roll_back_canary,
    set_canary,
    stop_canary,
)
from programs.errors import ReleaseInvalid, ReleaseNotFound

OLD, NEW = "0123456789ab", "ba9876543210"
GUARDS = CanaryGuards(max_p95_seconds=2.0, min_requests=7)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for version in (OLD, NEW):
        (tmp_path / "sum" / version).mkdir(parents=True)
    return tmp_path / "sum"


def test_what_is_set_is_read_again(folder: Path) -> None:
    assert read_canary(folder) is None
    canary = set_canary(folder, NEW, 12.5, GUARDS)
    assert read_canary(folder) == canary
    assert (canary.version, canary.weight, canary.guards, canary.rollback) == (NEW, 12.5, GUARDS, None)


def test_another_weight_is_no_new_beginning_and_another_version_is(folder: Path) -> None:
    begun = set_canary(folder, NEW, 10, GUARDS)
    assert set_canary(folder, NEW, 50, GUARDS).started == begun.started
    stop_canary(folder)
    assert set_canary(folder, OLD, 50, GUARDS).version == OLD


def test_stopping_twice_finds_nothing_the_second_time(folder: Path) -> None:
    set_canary(folder, NEW, 10, GUARDS)
    stopped = stop_canary(folder)
    assert stopped is not None and stopped.weight == 0 and stopped.rollback is None
    assert stop_canary(folder) is None


def test_of_many_that_roll_back_one_is_the_first(folder: Path) -> None:
    seen = set_canary(folder, NEW, 10, GUARDS)
    first: list[bool] = []

    def roll_back() -> None:
        first.append(roll_back_canary(folder, seen, "errors", "too many"))

    threads = [threading.Thread(target=roll_back) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(first) == [False] * 7 + [True]
    ended = read_canary(folder)
    assert ended is not None and ended.weight == 0
    assert ended.rollback is not None and (ended.rollback.weight, ended.rollback.reason) == (10, "too many")


def test_a_canary_that_began_anew_is_not_ended_by_who_saw_the_former_one(folder: Path) -> None:
    seen = Canary(OLD, 10.0, "2026-01-01", GUARDS)
    set_canary(folder, NEW, 10, GUARDS)
    assert not roll_back_canary(folder, seen, "errors", "too many")
    now = read_canary(folder)
    assert now is not None and now.weight == 10


def test_another_champion_ends_the_canary_for_good(folder: Path) -> None:
    move_alias(folder, "champion", OLD, "first")
    set_canary(folder, NEW, 10, GUARDS)
    move_alias(folder, "candidate", NEW, "built")
    running = read_canary(folder)
    assert running is not None and running.weight == 10
    move_alias(folder, "champion", NEW, "promoted")
    move_alias(folder, "champion", OLD, "rolled back")
    ended = read_canary(folder)
    assert ended is not None and ended.weight == 0


def test_a_damaged_canary_keeps_nobody_from_moving_the_champion(folder: Path) -> None:
    (folder / FILE).write_text("{")
    assert move_alias(folder, "champion", OLD, "first").champion == OLD
    assert read_canary(folder) is None


@pytest.mark.parametrize("version", ["cafecafecafe", "../sum/0123456789ab", ""])
def test_a_canary_is_a_release_that_is_there(folder: Path, version: str) -> None:
    with pytest.raises(ReleaseNotFound):
        set_canary(folder, version, 10, GUARDS)


@pytest.mark.parametrize(
    "changed",
    [
        {"weight": 101},
        {"weight": -1},
        {"weight": "10"},
        {"weight": True},
        {"version": "../../etc"},
        {"run": "rm"},
        {"guards": {"max_errors": "NaN"}},
        {"guards": {"window": 0}},
        {"guards": {"other": 1}},
        {"started": "x" * 70_000},
    ],
)
def test_a_damaged_file_is_refused(folder: Path, changed: dict[str, Any]) -> None:
    set_canary(folder, NEW, 10, GUARDS)
    told = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps({**told, **changed}))
    with pytest.raises(ReleaseInvalid, match=r"canary\.json"):
        read_canary(folder)
