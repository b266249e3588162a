from __future__ import annotations

from benchmarks.tracking import Run, answer, schedule, summarise, table

ASKED = {"role": "user", "content": "What is 2 + 1?"}
RUNS = [Run("off", 0, 10.0, 100), Run("on", 0, 10.2, 100), Run("on", 1, 12.1, 100), Run("off", 1, 12.0, 100)]


def test_runs_alternate_so_that_neither_side_is_always_first() -> None:
    assert [side for side, _ in schedule(2)] == ["off", "on", "on", "off"]


def test_each_pair_is_compared_with_its_neighbour() -> None:
    report = summarise([*RUNS, Run("off", 2, 10.0, 100), Run("on", 2, 99.0, 100)])
    assert report["ratio"]["median"] == 1.02 and len(report["ratio"]["each"]) == 3


def test_the_table_says_whether_the_goal_is_reached() -> None:
    assert table(summarise(RUNS)).endswith("goal of 1.03x: reached")
    slow = [Run(run.side, run.pair, run.seconds * (1.1 if run.side == "on" else 1), 100) for run in RUNS]
    assert table(summarise(slow)).endswith("goal of 1.03x: missed")


def test_the_scripted_student_learns_from_a_worked_example() -> None:
    shown = {"role": "assistant", "content": "1 and 1 make 2"}
    assert "answer ## ]]\n4\n" in answer([ASKED]) and "answer ## ]]\n3\n" in answer([shown, ASKED])
    assert answer([{"role": "user", "content": "who are you?"}]) == "hello"
