from __future__ import annotations

import json
from pathlib import Path

from benchmarks.build import Run, Side, schedule, summarise, table, write_examples
from tests.compiler.scripted import program


def one(side: Side, seed: int, seconds: float, after: float) -> Run:
    return Run(side, seed, seed < 2, seconds, 100, 1000, 100, 0.2, after)


RUNS = [
    one("ours", 0, 10.0, 0.8), one("stock", 0, 25.0, 0.8), one("stock", 1, 15.0, 0.7),
    one("ours", 1, 10.0, 0.8), one("ours", 2, 99.0, 0.7), one("stock", 2, 99.0, 0.6),
]  # fmt: skip


def test_runs_alternate_so_that_neither_side_is_always_first() -> None:
    assert [side for side, _ in schedule(2)] == ["ours", "stock", "stock", "ours"]


def test_only_timed_pairs_count_for_the_time_and_all_seeds_for_the_score() -> None:
    report = summarise(RUNS)
    assert report["ratio"]["seconds"] == 0.5 and report["score_difference"]["seeds"] == 3
    assert round(report["score_difference"]["mean"], 6) == 0.066667


def test_the_table_says_whether_the_goal_is_reached() -> None:
    assert table("sums", RUNS, summarise(RUNS)).endswith("equal or better score: reached")
    slow = [one(run.side, run.seed, 10.0, run.after) for run in RUNS]
    assert table("sums", slow, summarise(slow)).endswith("equal or better score: missed")


def test_both_sides_get_the_same_rows_in_the_seeds_order(tmp_path: Path) -> None:
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        write_examples(program(), 1 if folder == "c" else 0, tmp_path / folder)
    first, again, other = ((tmp_path / folder / "train.jsonl").read_text() for folder in "abc")
    assert first == again != other and sorted(first.splitlines()) == sorted(other.splitlines())
    assert json.loads(first.splitlines()[0]).keys() == {"question", "answer"}
