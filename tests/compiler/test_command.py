from __future__ import annotations

import contextlib
import json
import shutil
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
from tests.compiler.scripted import Adder
from tests.compiler.served import Server, serving

SUMS = """
import dspy
from smallforge import Chat, Program, Sampling, exact_match


def make_module():
    return dspy.ChainOfThought("question -> answer")


def examples(split):
    start = {"train": 0, "dev": 1000, "test": 2000}[split]
    rows = [(n, n // 2) for n in range(start, start + 20)]
    return [
        dspy.Example(question=f"What is {a} + {b}?", answer=str(a + b)).with_inputs("question")
        for a, b in rows
    ]


program = Program(
    "sums", make_module, examples, exact_match("answer"),
    Chat(user="question", answer="answer", reasoning=("reasoning",)), Sampling(max_tokens=64),
)
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """An empty folder with `sums.py`, in which the command runs."""
    with contextlib.chdir(tmp_path):
        Path("sums.py").write_text(SUMS)
        yield tmp_path


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Adder()) as served:
        yield served


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def build(server: Server, *arguments: str, program: str = "./sums.py") -> Result:
    student = [] if "--student" in arguments else ["--student", server.url]
    return run("build", program, *student, "--mlflow-uri", "off", *arguments)


def rows(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def champion() -> str | None:
    return read_aliases(Path("releases/sums")).champion


def test_a_build_prints_the_scores_before_and_after_and_leaves_a_release(here: Path, server: Server) -> None:
    done = build(server)
    assert done.exit_code == 0, done.output
    table = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "50.0 %" in table["zero-shot"] and "100.0 %" in table["compiled"]
    assert "Gain +50.0 points" in done.stdout and "Lowered to a plan" in done.stdout
    assert f"Release sums@{champion()} is the champion" in done.stdout
    assert "Score zero-shot (20 answers at most)" in done.stderr and "20/20, score 50.0 %" in done.stderr


def test_releases_are_listed_shown_verified_promoted_and_rolled_back(here: Path, server: Server) -> None:
    assert build(server, "--optimizer", "none").exit_code == 0
    assert build(server, "--optimizer", "LabeledFewShot", "--set", "k=2").exit_code == 0
    aliases = read_aliases(Path("releases/sums"))
    plain, labelled = aliases.champion, aliases.candidate
    assert plain != labelled
    assert [line.split()[:2] for line in run("list").stdout.splitlines()[1:]] in (
        [[f"sums@{plain}", "champion"], [f"sums@{labelled}", "candidate"]],
        [[f"sums@{labelled}", "candidate"], [f"sums@{plain}", "champion"]],
    )
    assert f"release   sums@{labelled}\n" in run("show", "sums@candidate").stdout
    assert run("verify").stdout.count("are intact") == 2
    refused = run("promote", "sums@candidate", "--reason", "why not")
    assert refused.exit_code == 3 and "not better than the champion" in refused.stderr and champion() == plain
    unreasoned = run("promote", "sums@candidate", "--force")
    assert unreasoned.exit_code == 2 and "--force needs --reason TEXT" in unreasoned.stderr
    forced = run("promote", "sums@candidate", "--force", "--reason", "why not")
    assert forced.stdout.startswith(f"sums@{labelled} is the champion") and champion() == labelled
    assert read_aliases(Path("releases/sums")).moves[-1].reason == "forced: why not"
    assert run("rollback", "sums").exit_code == 0 and champion() == plain


def test_a_better_release_is_promoted_with_its_numbers_unless_a_guard_forbids_it(
    here: Path, server: Server
) -> None:
    assert build(server, "--optimizer", "none").exit_code == 0
    assert build(server).exit_code == 0
    guarded = run("promote", "sums@candidate", "--max-cost-increase", "0.1")
    assert guarded.exit_code == 3 and "the cost of an answer is unknown" in guarded.stderr
    Path("smallforge.toml").write_text("[compiler.guards]\nmax_cost_increase = 0.1\n")
    assert run("promote", "sums@candidate").exit_code == 3
    Path("smallforge.toml").unlink()
    done = run("promote", "sums@candidate")
    assert done.exit_code == 0 and "100.0 % against 50.0 % on the same 20 rows" in done.stdout
    assert "against 50.0 %" in read_aliases(Path("releases/sums")).moves[-1].reason
    assert "is the champion already" in run("promote", f"sums@{champion()}").stdout


def test_below_the_target_the_table_is_shown_and_the_exit_code_is_3(here: Path, server: Server) -> None:
    done = build(server, "--optimizer", "none", "--target", "0.9")
    assert done.exit_code == 3
    assert "compiled" in done.stdout and done.stderr.endswith("below the target 0.9\n")


def test_below_the_wanted_gain_the_exit_code_is_3(here: Path, server: Server) -> None:
    assert build(server, "--optimizer", "none", "--gain", "0.1").exit_code == 3


def test_all_bad_lines_are_told_before_the_model_is_asked_anything(here: Path, server: Server) -> None:
    data = rows(here / "rows.jsonl", '{"question": "a"}', "x", '{"answer": "b"}')
    done = build(server, "--data", data)
    assert (done.exit_code, done.stdout, server.calls) == (2, "", 0)
    assert done.stderr.splitlines() == [
        "rows.jsonl line 1: field 'answer' is missing",
        "rows.jsonl line 2: is not JSON: Expecting value: column 1",
        "rows.jsonl line 3: field 'question' is missing",
    ]


def test_thousands_of_bad_lines_are_counted(here: Path, server: Server) -> None:
    done = build(server, "--data", rows(here / "rows.jsonl", *["x"] * 1500))
    assert len(done.stderr.splitlines()) == 101 and done.stderr.endswith("... and 1,400 more\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--optimizer", "LabelledFewShot"], "no optimizer 'LabelledFewShot'"),
        (["--set", "kk=3"], "there is no argument 'kk'"),
        (["--resume", "never-begun"], "no build 'never-begun' to resume in '.smallforge/builds'"),
        (["--data", "absent.jsonl"], "can't read 'absent.jsonl': No such file or directory"),
        (["--data", "small.jsonl"], "rows are too few"),
        (["--student", "http://127.0.0.1:9"], "http://127.0.0.1:9"),
        (["--student", "nobody"], "nobody"),
    ],
    ids=["optimizer", "argument", "resume", "absent", "small", "unreachable", "student"],
)
def test_a_users_mistake_is_one_sentence_and_exit_code_2(
    here: Path, server: Server, arguments: list[str], sentence: str
) -> None:
    rows(here / "small.jsonl", *[json.dumps({"question": f"{n} + 1", "answer": "x"}) for n in range(5)])
    done = build(server, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr and len(done.stderr.splitlines()) == 1
    assert not Path("releases").exists()


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (SUMS.replace('exact_match("answer")', "lambda *_: 1 / 0"), "the metric raised"),
        (SUMS.replace('exact_match("answer")', "lambda *_: 7"), "the metric gave 7"),
        (
            SUMS.replace("dspy.ChainOfThought(", "dspy.ChainOfThough("),
            "program 'sums' fails, line 7: AttributeError",
        ),
        (SUMS.replace("range(start, start + 20)", "undefined"), "program 'sums' fails, line 12: NameError"),
        (SUMS.replace('user="question"', 'user="query"'), "chat.user is 'query', its inputs are question"),
    ],
    ids=["metric raises", "metric lies", "module", "examples", "chat"],
)
def test_a_program_that_cannot_be_built_says_why(
    here: Path, server: Server, source: str, sentence: str
) -> None:
    (here / "sums.py").write_text(source)
    done = build(server)
    assert done.exit_code == 2 and sentence in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.output and not Path("releases").exists()


def test_an_unknown_program_is_told_the_known_ones(here: Path, server: Server) -> None:
    done = build(server, program="sumz")
    assert done.exit_code == 2 and "known are arithmetic" in done.stderr


def test_an_argument_that_is_no_pair_is_a_usage_error(here: Path, server: Server) -> None:
    done = build(server, "--set", "k")
    assert done.exit_code == 2 and "'k' is no KEY=VALUE" in done.stderr


def test_a_teacher_elsewhere_shows_how_it_is_done(here: Path, server: Server) -> None:
    with serving(Adder()) as teacher:
        done = build(server, "--teacher", teacher.url)
        assert done.exit_code == 0, done.output
        assert teacher.calls > 0 and server.calls > 0


def test_ctrl_c_leaves_a_build_that_the_printed_command_completes(here: Path) -> None:
    with serving(Adder(pause=0.02)) as server:
        command = [sys.executable, "-m", "compiler", "build", "./sums.py", "--student", server.url]
        command += ["--mlflow-uri", "off", "--concurrency", "2"]
        started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while server.calls < 30 and started.poll() is None:
            time.sleep(0.02)
        started.send_signal(signal.SIGINT)
        stdout, stderr = started.communicate(timeout=30)
        assert (started.returncode, stdout) == (130, ""), stderr
        assert not Path("releases").exists() and "Traceback" not in stderr
        again = stderr.splitlines()[-1].split()
        assert again[:3] == ["compiler", "build", "./sums.py"] and again[-2] == "--resume"
        asked = server.calls
        done = run(*again[1:])
        assert done.exit_code == 0, done.output
        assert champion() is not None
        fresh = server.calls - asked
    with serving(Adder()) as server:
        Path("releases").rename("old")
        assert build(server).exit_code == 0
        # What was answered before the interruption was not paid for again; a few were still under way.
        assert fresh <= server.calls - asked + 4


def test_a_build_is_tracked_in_the_state_folder_by_default(
    here: Path, server: Server, mlflow_database: Path
) -> None:
    Path(".smallforge").mkdir()
    shutil.copy(mlflow_database, ".smallforge/mlflow.db")
    done = run("build", "./sums.py", "--student", server.url, "--optimizer", "none")
    assert done.exit_code == 0, done.output
    assert list(Path(".smallforge/mlartifacts").glob("*/artifacts/release/plan.json"))


def test_rows_of_ones_own_become_a_program_and_then_a_release(here: Path, server: Server) -> None:
    lines = [json.dumps({"question": f"What is {n} + {n // 3}?", "answer": n + n // 3}) for n in range(60)]
    made = run("new", "adding", "--data", rows(here / "rows.jsonl", *lines), "--answer", "answer")
    assert made.exit_code == 0 and made.stdout.endswith("Now:\n  compiler build ./adding.py\n")
    done = build(server, "--optimizer", "LabeledFewShot", program="./adding.py")
    assert done.exit_code == 0, done.output
    assert "Weak evidence: 12 test rows" in done.stdout and "adding@" in run("list").stdout


def test_a_program_file_that_exists_is_not_overwritten(here: Path) -> None:
    data = rows(here / "rows.jsonl", '{"question": "a", "answer": "b"}')
    done = run("new", "sums", "--data", data, "--answer", "answer")
    assert done.exit_code == 2 and done.stderr.startswith("'sums.py' exists")


def test_programs_are_listed_with_what_they_do(here: Path) -> None:
    listed = dict(line.split(maxsplit=1) for line in run("programs").stdout.splitlines())
    assert listed["gsm8k"].startswith("Grade-school word problems")


def test_without_releases_the_list_says_how_to_get_one(here: Path) -> None:
    assert run("list").stdout == "no releases in 'releases'; `compiler build PROGRAM` writes one\n"


@pytest.mark.parametrize(
    "arguments", [["show", "x"], ["verify", "x"], ["promote", "x@candidate"], ["rollback", "x"]]
)
def test_a_release_that_is_not_there_is_one_sentence(here: Path, arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.exit_code == 2 and "no releases of 'x'" in done.stderr and done.stdout == ""


def test_a_configuration_with_mistakes_tells_all_of_them(here: Path) -> None:
    Path("smallforge.toml").write_text('releases = 3\nstudent_check = "maybe"\n')
    done = run("list")
    assert done.exit_code == 2 and "releases" in done.stderr and "student_check" in done.stderr


def test_reading_releases_imports_no_dspy(here: Path) -> None:
    script = (
        "import sys; from compiler.command import main\n"
        "try: main(['list'])\n"
        "finally: print(sorted({'dspy', 'mlflow', 'litellm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
