from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compiler.command import main
from programs.aliases import read_aliases
from programs.release import read_release
from tests.compiler.scripted import Adder
from tests.compiler.served import Server, serving
from tests.compiler.test_command import SUMS

PLAIN = ("--optimizer", "none")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A folder with `sums.py` and three students: two on one server, and one on none."""
    with serving(Adder()) as served, contextlib.chdir(tmp_path):
        Path("sums.py").write_text(SUMS)
        configure({"good": served.url, "second": served.url, "gone": "http://127.0.0.1:9"})
        yield served


def configure(urls: dict[str, str]) -> None:
    engines = [
        f'[engines.{name}]\nurls = ["{url}"]\n[students.{name}]\nengine = "{name}"\n'
        for name, url in urls.items()
    ]
    Path("smallforge.toml").write_text("\n".join(engines))


def build(*students: str, more: tuple[str, ...] = ()) -> Result:
    named = [word for student in students for word in ("--student", student)]
    asked = ["build", "./sums.py", *named, "--mlflow-uri", "off", "--optimizer", "BootstrapFewShot", *more]
    return CliRunner().invoke(main, asked)


def table(done: Result) -> dict[str, list[str]]:
    """The lines of the comparison, by student."""
    told = done.stdout[done.stdout.index("Students") :].splitlines()
    return {line.split()[0]: line.split() for line in told if line.startswith((" good", " second", " gone"))}


def versions() -> set[str]:
    return {path.parent.name for path in Path("releases/sums").glob("*/release.json")}


def test_each_student_gets_a_release_and_a_line(server: Server) -> None:
    done = build("good", "second")
    assert done.exit_code == 0, done.output
    lines = table(done)
    assert set(lines) == {"good", "second"} and {line[-1] for line in lines.values()} == versions()
    assert "50.0" in lines["good"] and "100.0" in lines["good"] and "+50.0" in lines["second"]
    students = {read_release(Path("releases/sums") / version).identity.student for version in versions()}
    assert students == {"good", "second"}


def test_only_the_first_student_moves_aliases(server: Server) -> None:
    assert build("gone", "good", more=PLAIN).exit_code == 2
    first = read_aliases(Path("releases/sums"))
    assert first.champion is not None and first.champion == first.candidate
    done = build("second", "good", more=("--optimizer", "LabeledFewShot"))
    moved = read_aliases(Path("releases/sums"))
    assert moved.champion == first.champion and moved.candidate == table(done)["second"][-1]
    assert table(done)["good"][-1] in versions() and len(versions()) == 3


def test_a_student_that_fails_leaves_the_others_their_release(server: Server) -> None:
    done = build("gone", "good", more=PLAIN)
    assert done.exit_code == 2, done.output
    assert len(versions()) == 1
    assert "gone: " in done.stdout.splitlines()[-1] and "127.0.0.1:9" in done.stdout.splitlines()[-1]
    assert table(done)["gone"] == ["gone", "no", "release"]
    assert read_aliases(Path("releases/sums")).champion == table(done)["good"][-1]


def test_the_exit_code_is_the_worst_one(server: Server) -> None:
    below = build("good", "second", more=(*PLAIN, "--gain", "0.9"))
    assert below.exit_code == 3 and below.stdout.count("below the required 0.9") == 2
    assert build("good", "gone", more=(*PLAIN, "--gain", "0.9")).exit_code == 2


def test_a_mistake_that_all_share_is_told_once_before_any_model_is_asked(server: Server) -> None:
    done = build("good", "second", more=("--set", "kk=3"))
    assert (done.exit_code, done.stdout, server.calls) == (2, "", 0)
    assert len(done.stderr.splitlines()) == 1 and "there is no argument 'kk'" in done.stderr


@pytest.mark.parametrize(
    ("students", "more", "sentence"),
    [
        (("good", "second"), ("--resume", "b"), "--resume goes on with one build, and 2 students were named"),
        (("good", "second", "good"), (), "student 'good' is named twice"),
    ],
    ids=["resume", "twice"],
)
def test_what_cannot_be_meant_is_a_usage_error(
    server: Server, students: tuple[str, ...], more: tuple[str, ...], sentence: str
) -> None:
    done = build(*students, more=more)
    assert done.exit_code == 2 and sentence in done.stderr and done.stdout == ""


def test_ctrl_c_ends_all_and_names_the_command_for_the_one_that_ran(tmp_path: Path) -> None:
    with serving(Adder()) as quick, serving(Adder(pause=0.3)) as slow, contextlib.chdir(tmp_path):
        Path("sums.py").write_text(SUMS)
        configure({"quick": quick.url, "slow": slow.url, "third": quick.url})
        command = [sys.executable, "-m", "compiler", "build", "./sums.py", "--mlflow-uri", "off"]
        command += ["--student", "quick", "--student=slow", "--student", "third", "--optimizer", "none"]
        started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while slow.calls < 3 and started.poll() is None:
            time.sleep(0.02)
        started.send_signal(signal.SIGINT)
        stdout, stderr = started.communicate(timeout=30)
        assert started.returncode == 130, stderr
        assert stdout.splitlines()[-1] == "third: not begun" and len(versions()) == 1
        again = stderr.splitlines()[-1].split()
        assert again[:3] == ["compiler", "build", "./sums.py"] and again[-4:-1] == [
            "--student",
            "slow",
            "--resume",
        ]
        assert again.count("--student") == 1 and "third" not in again
        assert (
            json.loads((Path(".smallforge/builds") / again[-1] / "build.json").read_text())["student"]["name"]
            == "slow"
        )
