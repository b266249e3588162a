"""`compiler evaluate` and `compare`, as commands, over a model that is really served."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from programs.aliases import read_aliases
from programs.release import verify_evidence
from tests.compiler.scripted import Adder
from tests.compiler.served import Server, serving
from tests.compiler.test_command import SUMS, rows, run

ROWS = [json.dumps({"question": f"What is {n} + 7?", "answer": str(n + 7)}) for n in range(30)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two releases of the sums: the plain champion, and a candidate that adds all right."""
    folder = tmp_path_factory.mktemp("built")
    with contextlib.chdir(folder), serving(Adder()) as served:
        Path("sums.py").write_text(SUMS)
        rows(Path("own.jsonl"), *ROWS)
        for optimizer in ("none", "BootstrapFewShot"):
            asked = ["--student", served.url, "--mlflow-uri", "off", "--optimizer", optimizer]
            done = run("build", "./sums.py", *asked)
            assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def server(built: Path, tmp_path: Path) -> Iterator[Server]:
    """The adder, in a copy of that folder."""
    shutil.copytree(built, tmp_path / "here")
    with contextlib.chdir(tmp_path / "here"), serving(Adder()) as served:
        yield served


def folder(alias: str) -> Path:
    version = getattr(read_aliases(Path("releases/sums")), alias)
    return Path("releases/sums") / str(version)


def evaluations(alias: str) -> list[str]:
    return [name for name in verify_evidence(folder(alias)) if not name[0].isdigit()]


SHARED = ("--program", "./sums.py")


def test_a_release_is_measured_on_rows_of_ones_own_and_keeps_the_evidence(server: Server) -> None:
    version = folder("champion").name
    done = run("evaluate", "sums", "--data", "own.jsonl", "--student", server.url, *SHARED)
    assert done.exit_code == 0, done.output
    assert "50.0 %" in done.stdout and "30 rows, own.jsonl" in done.stdout and " wrong " in done.stdout
    (name,) = evaluations("champion")
    assert folder("champion").name == version and f"evidence/{name}" in done.stdout
    told = json.loads((folder("champion") / "evidence" / name / "evaluation.json").read_text())
    assert told["kind"] == "evaluation" and told["own_student"] and told["scores"]["mean"] == 0.5
    lines = (folder("champion") / "evidence" / name / "scorecard.jsonl").read_text().splitlines()
    assert len(lines) == 30 and json.loads(lines[1])["inputs"] == {"question": "What is 1 + 7?"}
    assert "evaluated 50.0 % on 30 rows, own.jsonl" in run("show", "sums").stdout
    assert "evidence of 1 build and 1 evaluation are intact" in run("verify", "sums").stdout


def test_without_rows_the_programs_test_rows_are_asked_and_the_look_is_told(server: Server) -> None:
    done = run("evaluate", "sums@candidate", "--json", "--student", server.url, *SHARED)
    told = json.loads(done.stdout)
    assert (told["scores"]["mean"], told["scores"]["n"]) == (1.0, 20)
    assert [look["program"] for look in told["data"]["earlier_looks"]] == ["sums", "sums"]
    again = run("evaluate", "sums@candidate", "--student", server.url, *SHARED)
    assert "looked at 3 times before: sums 3 (" in again.stdout and len(evaluations("candidate")) == 2


def test_another_student_than_the_releases_own_is_said_so(server: Server) -> None:
    with serving(Adder()) as other:
        other.more_tokens = 5
        done = run("evaluate", "sums", "--student", other.url, *SHARED)
        assert done.exit_code == 0, done.output
        assert "The student is another one than the release was compiled for." in done.stdout


def test_two_releases_are_compared_row_by_row_and_both_keep_it(server: Server) -> None:
    students = ("--student-a", server.url, "--student-b", server.url)
    done = run("compare", "sums", "sums@candidate", "--data", "own.jsonl", *students, *SHARED)
    assert done.exit_code == 0, done.output
    a, b = (line for line in done.stdout.splitlines() if line.startswith((" A ", " B ")))
    assert "50.0 %" in a and "<0.0001" in a and "100.0 %" in b
    assert "B against A: Gain +50.0 points" in done.stdout and "15 better, 0 worse of 30" in done.stdout
    assert "Right: both 15, only A 0, only B 15, neither 0." in done.stdout
    assert "B is better on #0, #2" in done.stdout and "B is worse" not in done.stdout
    for alias, side in (("champion", "a"), ("candidate", "b")):
        (name,) = evaluations(alias)
        told = json.loads((folder(alias) / "evidence" / name / "evaluation.json").read_text())
        assert name.startswith("compare-") and name.endswith(f"-{side}")
        assert told["kind"] == "comparison" and told["difference"]["won"] == 15


def test_a_comparison_can_be_read_by_a_machine(server: Server) -> None:
    students = ("--student-a", server.url, "--student-b", server.url)
    told = json.loads(run("compare", "sums", "sums@candidate", "--json", *students, *SHARED).stdout)
    assert told["difference"]["test"] == "mcnemar" and told["crossed"]["only_b"] == 10
    assert told["a"]["release"] != told["b"]["release"]


def test_one_release_is_compared_with_itself_on_two_students_only(server: Server) -> None:
    done = run("compare", "sums", "sums", "--student-a", server.url, "--student-b", server.url, *SHARED)
    assert done.exit_code == 2 and "A and B are both 'sums@" in done.stderr
    assert evaluations("champion") == [] and server.calls == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evaluate", "sums@nothing"], "'sums' has no release 'nothing'"),
        (["evaluate", "sums"], "name the file with --program"),
        (["evaluate", "sums", "--program", "order_entry"], "is of program 'sums', not of 'order_entry'"),
        (["evaluate", "sums", "--data", "bad.jsonl", *SHARED], "bad.jsonl line 1: field 'answer' is missing"),
        (["compare", "sums", "sums@candidate", "--data", "none.jsonl", *SHARED], "can't read 'none.jsonl'"),
    ],
    ids=["release", "program", "another program", "rows", "no file"],
)
def test_a_users_mistake_is_a_sentence_and_notes_no_look(
    server: Server, arguments: list[str], sentence: str
) -> None:
    rows(Path("bad.jsonl"), '{"question": "a"}')
    student = "--student" if arguments[0] == "evaluate" else "--student-a"
    more = [] if arguments[0] == "evaluate" else ["--student-b", server.url]
    done = run(*arguments, student, server.url, *more)
    assert done.exit_code == 2 and sentence in done.stderr and done.stdout == ""
    assert evaluations("champion") == [] and server.calls == 0


def test_an_interpreted_release_of_a_changed_program_is_not_measured(tmp_path: Path) -> None:
    twice = SUMS.replace(
        'return dspy.ChainOfThought("question -> answer")',
        'class Twice(dspy.Module):\n        def __init__(self):\n            super().__init__()\n'
        '            self.first = dspy.ChainOfThought("question -> answer")\n'
        "        async def aforward(self, question):\n"
        "            return await self.first.acall(question=question)\n    return Twice()",
    )  # fmt: skip
    with contextlib.chdir(tmp_path), serving(Adder()) as server:
        Path("sums.py").write_text(twice)
        made = run(
            "build", "./sums.py", "--student", server.url, "--mlflow-uri", "off", "--optimizer", "none"
        )
        assert made.exit_code == 0, made.output
        assert run("evaluate", "sums", "--student", server.url, *SHARED).exit_code == 0
        Path("sums.py").write_text(twice + "\n# changed\n")
        done = run("evaluate", "sums", "--student", server.url, *SHARED)
    assert (
        done.exit_code == 2 and "was compiled from another 'sums': its source file had digest" in done.stderr
    )
