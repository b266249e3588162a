from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from benchmarks.small_to_large import gather, write_docs
from benchmarks.study_options import parser, read_options
from benchmarks.study_published import read_published
from benchmarks.study_table import Study
from benchmarks.study_tasks import load_tasks
from benchmarks.surroundings import BenchmarkFailed
from engine.chat import Reply
from engine.errors import EngineServerError
from programs.release import read_release
from tests.benchmarks.studied import Scene, scene
from tests.compiler.scripted import Adder
from tests.compiler.served import serving

pytestmark = pytest.mark.timeout(180)  # whole studies, which a busy machine takes its time for
PRICED = ("--student-usd-per-hour", "0.1", "--reference-usd-per-million", "1", "2")
FEW = ("--optimizers", "LabeledFewShot,KNNFewShot,COPRO")
BOTH = ("LabeledFewShot", "KNNFewShot")
SUMS = "./sums.py"


class Refusing(Adder):
    """Its server refuses every program's request."""

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        raise EngineServerError("no instructions from here", status=400)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A study that is finished, its servers gone. Its tests change nothing of it."""
    with scene(tmp_path_factory.mktemp("study")) as found:
        assert found.run(*FEW, *PRICED) == 0
    return found


def study_of(scene: Scene) -> Study:
    options = read_options(parser("").parse_args(scene.arguments(*FEW, *PRICED)))
    with contextlib.chdir(scene.folder):
        return gather(options, load_tasks(options.tasks, options.drawing))


def test_a_study_measures_every_row_of_every_task(done: Scene) -> None:
    sums, steps = done.rows("sums"), done.rows("steps")
    scores = [row["measured"]["summary"]["mean"] for row in sums.values() if row["measured"]]
    assert scores == [1.0, 1.0, 0.5, 1.0, 0.5, 1.0]
    assert list(steps)[:3] == ["reference zero-shot", "student zero-shot", "student LabeledFewShot"]
    assert sums["student KNNFewShot"]["verdict"] == "pass"
    assert sums["student zero-shot"]["against"]["difference"] == -0.5
    assert [done.result["tasks"][task]["verdict"] for task in ("sums", "steps")] == ["pass", "fail"]
    assert {"cpu", "cores", "gpus"} <= done.result["machine"].keys()
    assert (done.folder / "out" / "plot.png").stat().st_size > 10_000


def test_what_does_not_apply_or_is_left_out_is_shown_with_its_reason(done: Scene) -> None:
    assert "| KNNFewShot | does not apply: KNNFewShot can't optimise program 'steps'" in done.text
    assert done.text.count("| COPRO | left out: it needs a model that writes instructions, --proposer |") == 2
    assert done.rows("sums")["student COPRO"]["measured"] is None


def test_the_same_command_again_asks_nothing_and_needs_no_server(done: Scene) -> None:
    text, asked = done.text, done.asked
    assert done.run(*FEW, *PRICED) == 0
    assert done.text == text and done.asked == asked


def test_each_build_leaves_a_release_with_its_evidence(done: Scene) -> None:
    name = done.rows("sums")["student LabeledFewShot"]["built"]["release"]
    home = done.folder / "out" / "releases" / "LabeledFewShot" / "sums"
    release = read_release(home / name.partition("@")[2])
    assert release.name == name and (release.path / "evidence" / "LabeledFewShot" / "report.html").is_file()


def test_a_page_takes_the_study_between_its_marks(done: Scene, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Before.\n\n<!-- study: begin -->\nan earlier study\n<!-- study: end -->\n\nAfter.\n")
    for _ in range(2):
        write_docs(study_of(done), page, tmp_path)
    text = page.read_text()
    assert text.startswith("Before.") and text.endswith("After.\n") and "earlier study" not in text
    assert text.count("### Measured") == 1 and (tmp_path / "study.png").is_file()
    assert json.loads(next(tmp_path.glob("*-small-to-large.json")).read_text())["tasks"]["sums"]
    with pytest.raises(BenchmarkFailed, match="lacks the lines '<!-- study: begin -->'"):
        write_docs(study_of(done), done.folder / "sums.py", tmp_path)


def test_another_optimiser_or_task_is_measured_beside_what_is_there(here: Scene) -> None:
    assert here.run("--optimizers", "LabeledFewShot", tasks=SUMS) == 0
    before = here.asked
    assert here.run("--optimizers", ",".join(BOTH), tasks=SUMS) == 0
    assert here.cells() == {f"sums/{name}.json" for name in ("none", "reference", *BOTH)}
    assert here.asked - before == here.rows("sums")["student KNNFewShot"]["built"]["calls"]


def test_a_study_that_was_killed_goes_on_and_asks_nothing_twice(done: Scene, tmp_path: Path) -> None:
    terms = (*FEW, *PRICED, "--concurrency", "4")
    with scene(tmp_path, pause=0.01) as found:
        with found.started(*terms) as process:
            while process.poll() is None and found.small.calls < 200:
                time.sleep(0.002)
        assert process.returncode == -signal.SIGKILL, (tmp_path / "log").read_text()[-2000:]
        assert 0 < len(found.cells()) < len(done.cells())
        assert found.run(*terms) == 0
        # What was on its way when the process died is asked again, nothing else.
        assert found.asked <= done.asked + 4
        assert found.cells() == done.cells()
    assert [found.scores(it) for it in ("sums", "steps")] == [done.scores(it) for it in ("sums", "steps")]


def test_a_cell_that_fails_is_shown_and_made_again_on_demand(here: Scene) -> None:
    with serving(Refusing()) as refusing:
        refusing.name = "refuser"
        more = ("--optimizers", "COPRO", "--proposer", refusing.url)
        assert here.run(*more, tasks=SUMS) == 1
        assert "| COPRO | failed: " in here.text and "no instructions from here" in here.text
        assert here.rows("sums")["student zero-shot"]["measured"] is not None
        asked, refused = here.asked, refusing.calls
        assert here.run(*more, "--retry-failed", tasks=SUMS) == 1
        assert refusing.calls > refused and here.asked == asked


def test_an_engine_that_is_gone_ends_the_study_and_leaves_no_failed_cell(
    here: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = ["--student", here.student.url, "--reference", "http://127.0.0.1:9", "--tasks", SUMS]
    assert here.run(*gone) == 2
    assert "127.0.0.1:9" in capsys.readouterr().err and here.cells() == set()
    assert "not measured yet" in here.text


def test_a_task_without_rows_is_told_and_the_others_are_measured(here: Scene) -> None:
    text = (here.folder / "sums.py").read_text()
    (here.folder / "empty.py").write_text(text.replace("n + 20", "n").replace("start + 20", "start + 3"))
    assert here.run("--optimizers", "LabeledFewShot", tasks="./empty.py,./sums.py") == 1
    assert "- `empty`: **not measured**. 3 train rows are too few" in here.text
    assert here.rows("sums")["student LabeledFewShot"]["measured"] is not None


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--rows", "9"), "--rows 9 is too few: a build needs at least 10"),
        (("--tasks", "sumz"), "no program 'sumz'"),
        (("--optimizers", "GEPPA"), "did you mean 'GEPA'?"),
        (
            ("--student-usd-per-hour", "1", "--student-usd-per-million", "1", "1"),
            "the student has two prices",
        ),
    ],
    ids=["rows", "task", "optimiser", "prices"],
)
def test_a_mistake_is_one_sentence_before_anything_is_asked(
    here: Scene, more: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert here.run(*more) == 2
    told = capsys.readouterr()
    assert sentence in told.err and "Traceback" not in told.err and here.asked == 0


def test_another_study_in_the_same_folder_is_refused(here: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    assert here.run("--optimizers", "none", tasks=SUMS) == 0
    asked = here.asked
    for changed, what in (
        (("--seed", "1"), "seed 0, not 1"),
        (("--student-usd-per-hour", "2"), "student_price null"),
        (("--student", here.reference.url), "student "),
    ):
        assert here.run("--optimizers", "none", *changed, tasks=SUMS) == 2
        assert f"holds a study with {what}" in capsys.readouterr().err
    assert here.run("--optimizers", "none", "--rows", "12", tasks=SUMS) == 2
    assert "the rows of 'sums' are not those" in capsys.readouterr().err
    assert here.asked == asked


def test_rows_are_drawn_alike_for_every_cell(here: Scene) -> None:
    assert here.run("--optimizers", "LabeledFewShot", "--rows", "12", tasks=SUMS) == 0
    cells = [json.loads(path.read_text()) for path in (here.folder / "out" / "cells" / "sums").glob("*.json")]
    assert {len(one["scores"]) for cell in cells for one in cell["measured"]} == {12}
    assert len({json.dumps(cell["data"]) for cell in cells}) == 1


def test_published_rows_are_told_apart_and_never_among_what_was_measured(here: Scene) -> None:
    text = (here.folder / "sums.py").read_text()
    (here.folder / "gsm8k.py").write_text(text.replace('"sums"', '"gsm8k"'))
    assert here.run("--optimizers", "LabeledFewShot", *PRICED, tasks="./gsm8k.py") == 0
    measured, _, apart = here.text.partition("### Published elsewhere")
    others = [row.who for row in read_published() if row.task == "gsm8k"]
    assert others and all(who in apart and who not in measured for who in others)
    assert "not comparable" in apart and "Phi-2" not in json.dumps(here.result)


def test_two_servers_that_cannot_be_told_apart_are_refused(
    here: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Adder()) as twin:
        assert here.run("--optimizers", "COPRO", "--proposer", twin.url, tasks=SUMS) == 2
    assert "both call their model 'small'" in capsys.readouterr().err and here.asked == 0
