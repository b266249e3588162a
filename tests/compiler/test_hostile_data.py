"""Builds of the named tasks on hostile data, by the command a user types: a sentence, or the right score."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compiler.command import main
from tests.compiler.hostile_rows import (
    LONG,
    TASKS,
    UNREADABLE,
    WINDOW,
    Reciter,
    Row,
    Task,
    write,
    wrong_rows,
)
from tests.compiler.served import Server, serving

each_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
with_context = pytest.mark.parametrize(
    "task", [task for task in TASKS.values() if "context" in task.more], ids=lambda task: task.name
)


@pytest.fixture
def student() -> Reciter:
    return Reciter()


@pytest.fixture
def server(tmp_path: Path, student: Reciter) -> Iterator[Server]:
    with contextlib.chdir(tmp_path), serving(student, window=WINDOW) as served:
        yield served


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def good(task: Task, split: str, count: int) -> list[Row]:
    return [task.row(f"{split}good{number}") for number in range(count)]


def build(
    server: Server, task: Task, train: Sequence[Row | bytes], test: Sequence[Row | bytes], *how: str
) -> Result:
    files = {"data": train, "dev": good(task, "dev", 5), "test": test}
    options = [f"--{name}={write(Path(f'{name}.jsonl'), rows)}" for name, rows in files.items()]
    return run("build", task.name, *options, "--student", server.url, "--mlflow-uri", "off", *how)


def scores(program: str) -> list[tuple[float, str | None]]:
    """Score and fault of the compiled program on each test row."""
    (card,) = Path(program).rglob("scorecard.jsonl")
    rows = [json.loads(line) for line in card.read_bytes().splitlines()]
    return [(round(row["score"], 3), row["fault"]) for row in rows if row["program"] == "after"]


@each_task
def test_strange_rows_are_demonstrations_and_score_what_they_should(
    task: Task, student: Reciter, server: Server
) -> None:
    train, hostile, long = [*task.hostile("train").values()], task.hostile("test"), task.too_long()
    test = [*hostile.values(), *long.values()]
    student.learn([*train, *good(task, "dev", 5), *test])
    done = build(server, task, train, test, "--optimizer", "LabeledFewShot", "--set", f"k={len(train)}")
    assert done.exit_code == 0, done.output
    assert ("Lowered to a plan" in done.stdout) == task.lowered
    assert dict(zip([*hostile, *long], scores("releases"), strict=True)) == {
        **dict.fromkeys(hostile, (1.0, None)),
        **dict.fromkeys(long, (0.0, "too_long")),
    }
    assert "prompt too long" in done.stdout and not set("\x00\x1b\x07\x9b\u202b") & set(done.output)


@each_task
def test_rows_that_are_none_are_all_told_before_anything_is_asked(
    task: Task, student: Reciter, server: Server
) -> None:
    wrong: list[tuple[Row | bytes, str]] = [*UNREADABLE, *wrong_rows(task)]
    done = build(server, task, good(task, "train", 10), [*good(task, "test", 3), *(row for row, _ in wrong)])
    assert done.exit_code == 2 and student.asked == [] and done.stdout == ""
    assert done.stderr.splitlines() == [
        f"test.jsonl line {number}: {said}" for number, (_, said) in enumerate(wrong, start=4)
    ]


@with_context
def test_demonstrations_over_the_window_are_dropped(task: Task, student: Reciter, server: Server) -> None:
    long = [task.row(f"long{n}", {"context": LONG}) for n in range(12)]
    train, test = [*long, *good(task, "train", 3)], good(task, "test", 10)
    student.learn([*train, *good(task, "dev", 5), *test])
    done = build(server, task, train, test, "--optimizer", "LabeledFewShot", "--set", "k=2")
    assert done.exit_code == 0, done.output
    assert "12 of 20 examples to train and select with are too long for the student's window" in done.stderr
    assert "labelled: of 2 demonstrations only 1 fit the student's window of 100,000 tokens." in done.stderr
    assert scores("releases") == [(1.0, None)] * 10


def test_an_example_over_the_window_is_told_by_evaluate_and_in_the_report(
    student: Reciter, server: Server
) -> None:
    task = TASKS["hotpotqa"]
    train, test = good(task, "train", 10), [*good(task, "test", 10), *task.too_long().values()]
    student.learn([*train, *good(task, "dev", 5), *test])
    assert build(server, task, train, test, "--optimizer", "none").exit_code == 0
    (report,) = Path("releases").rglob("report.html")
    assert "prompt too long" in report.read_text() and report.stat().st_size < 1_500_000
    done = run("evaluate", "hotpotqa", "--data", "test.jsonl", "--student", server.url, "--json")
    told = json.loads(done.stdout)["scores"]
    assert (told["n"], told["too_long"], told["errors"], round(told["mean"] * 13)) == (13, 3, 0, 10)


@pytest.mark.parametrize("optimizer", ["BootstrapFewShotWithRandomSearch", "KNNFewShot", "Ensemble"])
def test_strange_rows_can_be_searched_through(optimizer: str, student: Reciter, server: Server) -> None:
    task = TASKS["gsm8k"]
    train, test = [*task.hostile("train").values(), *good(task, "train", 5)], [*task.hostile("test").values()]
    student.learn([*train, *good(task, "dev", 5), *test])
    arguments = {"KNNFewShot": "num_demos=10"}.get(optimizer, "num_candidate_programs=2")
    done = build(server, task, train, test, "--optimizer", optimizer, "--set", arguments)
    assert done.exit_code == 0 and "Lowered to" in done.stdout, done.output
    assert scores("releases") == [(1.0, None)] * len(test)


def test_releases_measured_on_strange_rows_are_tracked_compared_and_promoted(
    student: Reciter, server: Server, mlflow_database: Path
) -> None:
    task = TASKS["hotpotqa"]
    train, test = [*task.hostile("train").values()], [*task.hostile("test").values()]
    student.learn([*train, *good(task, "dev", 5), *test])
    Path(".smallforge").mkdir()
    shutil.copy(mlflow_database, ".smallforge")
    address = f"sqlite:///{Path('.smallforge/mlflow.db').absolute()}"
    for how in (["none"], ["LabeledFewShot", "--set", "k=3"]):
        done = build(server, task, train, test, "--optimizer", *how, "--mlflow-uri", address)
        assert done.exit_code == 0 and "failed" not in done.stderr, done.output
    assert "finished" in run("runs", "hotpotqa", "--mlflow-uri", address).stdout
    both = ["--student-a", server.url, "--student-b", server.url]
    compared = run("compare", "hotpotqa", "hotpotqa@candidate", "--data", "test.jsonl", *both)
    assert compared.exit_code == 0, compared.output
    refused = run("promote", "hotpotqa@candidate", "--mlflow-uri", "off")
    assert refused.exit_code == 3 and "not better than the champion" in refused.stderr, refused.output


def test_rows_that_stand_twice_stay_in_one_part(student: Reciter, server: Server) -> None:
    task = TASKS["gsm8k"]
    train, test = good(task, "train", 12), good(task, "test", 9)
    again = [*test, test[0], train[0], task.row("testgood1", {"answer": "another 8"})]
    student.learn([*train, *good(task, "dev", 5), *test])
    done = build(server, task, [*train, train[1]], again, "--optimizer", "none")
    assert done.exit_code == 0, done.output
    assert "Left 1 train rows out: their inputs are held-out inputs too." in done.stderr
    assert scores("releases") == [*[(1.0, None)] * 11, (0.0, None)]


def test_marks_and_line_ends_of_windows_and_blank_lines_are_no_mistakes(
    student: Reciter, server: Server
) -> None:
    task = TASKS["gsm8k"]
    train, test = good(task, "train", 10), good(task, "test", 10)
    student.learn([*train, *good(task, "dev", 5), *test])
    lines = [b"\xef\xbb\xbf" + json.dumps(test[0]).encode(), *(json.dumps(row).encode() for row in test[1:])]
    windows = [line for row in lines for line in (row + b"\r", b"\r", b"  ")]
    done = build(server, task, train, windows, "--optimizer", "none")
    assert done.exit_code == 0 and scores("releases") == [(1.0, None)] * 10, done.output
