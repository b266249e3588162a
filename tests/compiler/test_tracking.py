from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest

from compiler.errors import TargetMissed
from compiler.events import Began, CandidateScored, Event, Finished, Scored, StageStarted
from compiler.tracking import Tracked, TrackingUnavailable, Untracked, open_tracking
from tests.compiler.test_terminal import RESULT, SPENT

TRACKED = Tracked("order_entry", {"optimizer": "LabeledFewShot", "seed": 0, "target": None})


@pytest.fixture
def state(tmp_path: Path, mlflow_database: Path) -> Path:
    shutil.copy(mlflow_database, tmp_path)
    return tmp_path


def release(folder: Path) -> Path:
    """A release folder with a scorecard, as a build leaves it."""
    evidence = folder / "release" / "evidence" / "b-1"
    evidence.mkdir(parents=True)
    (folder / "release" / "plan.json").write_text("{}")
    rows = [{"id": 0, "score": 1.0, "output": "a"}, {"id": 1, "score": 0.0, "error": "unparseable"}]
    (evidence / "scorecard.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "release"


def track(state: Path, *events: Event, uri: str | None = None) -> list[str]:
    """Reads the events into MLflow; returns what it warned of."""
    warnings: list[str] = []
    with open_tracking(uri, state, TRACKED, warnings.append) as tracking:
        for event in events:
            tracking.read(event)
    return warnings


def client(state: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{state / 'mlflow.db'}")


def test_a_build_becomes_one_run_with_parameters_metrics_release_and_samples(state: Path) -> None:
    result = replace(RESULT, path=release(state))
    warnings = track(
        state,
        Began("b-1"),
        StageStarted("baseline", 2),
        Scored("baseline", 1, 2, 1.0),
        Scored("baseline", 2, 2, 0.5),
        CandidateScored("one", 0.6, 10, best=True, dropped=False),
        SPENT,
        Finished(result),
    )
    assert warnings == []
    store = client(state)
    (run,) = store.search_runs([store.get_experiment_by_name("order_entry").experiment_id])
    assert run.info.run_name == "b-1" and run.info.status == "FINISHED"
    assert run.data.params == {"optimizer": "LabeledFewShot", "seed": "0"}
    history = store.get_metric_history(run.info.run_id, "baseline_score")
    assert [(metric.step, metric.value) for metric in history] == [(1, 1.0), (2, 0.5)]
    expected = {
        "compiled_score": 0.71,
        "unoptimised_score": 0.4,
        "gain": 0.31,
        "best_candidate_score": 0.6,
        "usd": 0.0213,
    }
    assert {name: run.data.metrics[name] for name in expected} == expected
    assert run.data.tags["version"] == "1f3a9c2b7d4e"
    kept = state / "mlartifacts" / run.info.run_id / "artifacts"
    assert (kept / "release" / "plan.json").is_file()
    assert json.loads((kept / "samples.json").read_text()) == {
        "columns": ["id", "score", "output", "error"],
        "data": [[0, 1.0, "a", None], [1, 0.0, None, "unparseable"]],
    }


def test_a_resumed_build_goes_on_with_its_run(state: Path) -> None:
    track(state, Began("b-1"), Scored("baseline", 1, 2, 1.0))
    track(state, Began("b-1", resumed=True), Scored("baseline", 2, 2, 0.5))
    store = client(state)
    (run,) = store.search_runs([store.get_experiment_by_name("order_entry").experiment_id])
    assert len(store.get_metric_history(run.info.run_id, "baseline_score")) == 2


def test_an_interrupted_build_is_marked_as_killed(state: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_tracking(None, state, TRACKED, print) as tracking:
        tracking.read(Began("b-1"))
        raise KeyboardInterrupt
    store = client(state)
    (run,) = store.search_runs([store.get_experiment_by_name("order_entry").experiment_id])
    assert run.info.status == "KILLED"


def test_a_build_below_its_target_is_finished_all_the_same(state: Path) -> None:
    with pytest.raises(TargetMissed), open_tracking(None, state, TRACKED, print) as tracking:
        tracking.read(Began("b-1"))
        tracking.read(Finished(replace(RESULT, path=release(state))))
        raise TargetMissed("below")
    store = client(state)
    (run,) = store.search_runs([store.get_experiment_by_name("order_entry").experiment_id])
    assert run.info.status == "FINISHED"


def test_off_tracks_nothing_and_imports_no_mlflow(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from compiler.tracking import *; "
        f"open_tracking('off', Path({str(tmp_path)!r}), Tracked('p'), print); print('mlflow' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n" and list(tmp_path.iterdir()) == []
    assert isinstance(open_tracking("off", tmp_path, TRACKED, print), Untracked)


def test_a_server_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrackingUnavailable, match=r"can't track the build at 'http://127.0.0.1:9/?'.*'off'"):
        track(tmp_path, uri="http://127.0.0.1:9")


def test_a_state_folder_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(TrackingUnavailable, match=r"can't track the build at 'sqlite:.*File exists"):
        track(tmp_path / "state")


def test_a_store_that_fails_later_warns_once_and_lets_the_build_go_on(state: Path) -> None:
    warnings: list[str] = []
    with open_tracking(None, state, TRACKED, warnings.append) as tracking:
        tracking.read(Began("b-1"))
        (state / "mlartifacts").write_text("a file where a folder must be")
        tracking.read(Finished(replace(RESULT, path=release(state))))
        tracking.read(SPENT)
    assert len(warnings) == 1 and warnings[0].startswith("MLflow failed, tracking of this build stops: ")


def test_a_tracked_build_says_nothing_of_its_own(state: Path) -> None:
    script = (
        "from pathlib import Path; from compiler.events import Began; from compiler.tracking import *\n"
        f"with open_tracking(None, Path({str(state)!r}), Tracked('p'), print) as t: t.read(Began('b'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
