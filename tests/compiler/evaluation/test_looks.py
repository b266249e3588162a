from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from compiler.errors import StateNotWritten
from compiler.evaluation.looks import describe_looks, record_look
from compiler.events import Look


def test_looks_at_the_same_examples_by_others_are_told_with_their_day(tmp_path: Path) -> None:
    for by, program in (("a", "sums"), ("a", "sums"), ("evaluate-b", "totals")):
        record_look(tmp_path, "digest", by, program)
    looks = record_look(tmp_path, "digest", "c", "sums")
    assert [(look.program, look.by) for look in looks] == [("sums", "a"), ("totals", "evaluate-b")]
    assert all(look.at.startswith("20") for look in looks)
    assert record_look(tmp_path, "other", "d", "sums") == ()


def test_a_resumed_build_does_not_count_itself(tmp_path: Path) -> None:
    assert record_look(tmp_path, "digest", "a", "sums") == record_look(tmp_path, "digest", "a", "sums") == ()


def test_builds_that_look_at_the_same_time_are_all_counted(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        looks = threads.map(lambda n: len(record_look(tmp_path, "digest", str(n), "sums")), range(40))
    assert sorted(looks) == list(range(40))


def test_a_state_folder_that_refuses_is_one_clean_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StateNotWritten, match="can't note the look at the test examples"):
        record_look(tmp_path / "state", "digest", "a", "sums")


def test_looks_are_described_by_program_with_their_dates() -> None:
    looks = tuple(
        Look(program, str(n), f"2026-01-0{n}T10:00:00+00:00")
        for n, program in ((1, "sums"), (2, "sums"), (3, "totals"))
    )
    assert describe_looks(looks) == (
        "These test rows were looked at 3 times before: sums 2 (2026-01-01 to 2026-01-02), "
        "totals 1 (2026-01-03)."
    )
    assert describe_looks(looks[:1]).startswith("These test rows were looked at once before: sums 1 (")
    assert describe_looks(()) == "These test rows were not looked at before."
