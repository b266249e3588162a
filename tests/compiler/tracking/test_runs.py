from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compiler.command import main
from compiler.errors import UserMistake
from compiler.events import Began, Finished
from compiler.tracking.mlflow_store import Store
from compiler.tracking.runs import compare, cost_of, list_runs
from tests.compiler.conftest import Builds
from tests.compiler.tracking.test_recording import record


@pytest.fixture
def tracked(store: Store, builds: Builds) -> Store:
    """A store with both builds in it."""
    record(store, *builds.plain)
    record(store, *builds.worked)
    return store


def command(store: Store, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["runs", *arguments, "--mlflow-uri", store.address.uri])


def test_builds_are_listed_newest_first_with_what_they_scored(tracked: Store, builds: Builds) -> None:
    worked, plain = list_runs(tracked)
    assert (worked.optimizer, plain.optimizer) == ("BootstrapFewShot", "none")
    assert worked.metrics["test_score"] == 1.0 and isinstance(builds.worked[-1], Finished)
    assert worked.release == builds.worked[-1].result.version and worked.status == "FINISHED"


def test_the_table_has_whole_names_scores_with_intervals_and_costs(tracked: Store) -> None:
    lines = command(tracked, "sums").stdout.splitlines()
    assert lines[0].split() == ["run", "optimizer", "score", "interval", "gain", "release", "cost", "status"]
    worked = list_runs(tracked)[0]
    assert worked.name in lines[1] and "100.0 %" in lines[1] and "91.2 to 100.0" in lines[1]
    assert str(worked.release) in lines[1] and "tokens" in lines[1] and lines[1].rstrip().endswith("finished")


def test_a_filter_in_mlflows_words_chooses(tracked: Store) -> None:
    found = list_runs(tracked, "sums", "metrics.test_score > 0.8 and params.optimizer = 'BootstrapFewShot'")
    assert [run.metrics["test_score"] for run in found] == [1.0]
    assert list_runs(tracked, None, "metrics.test_score > 1") == []


def test_a_filter_that_cannot_be_read_is_one_sentence_with_an_example(tracked: Store) -> None:
    done = command(tracked, "--filter", "test_score over 0.8")
    assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("can't filter by 'test_score over 0.8': ") and "--filter" in done.stderr


def test_a_program_without_runs_is_told_the_others(tracked: Store) -> None:
    with pytest.raises(UserMistake, match="no runs of 'sum' in MLflow; there are runs of: sums"):
        list_runs(tracked, "sum")


def test_two_runs_are_compared_by_what_differs(tracked: Store) -> None:
    worked, plain = list_runs(tracked)
    comparison = compare([worked, plain], plain.build_id, str(worked.release))
    assert comparison.parameters["optimizer"] == ("none", "BootstrapFewShot")
    assert "seed" not in comparison.parameters
    assert comparison.metrics["test_score"] == (0.5, 1.0)
    shown = command(tracked, "--compare", plain.name, worked.name).stdout
    assert [line.split() for line in shown.splitlines() if line.startswith("test_score ")] == [
        ["test_score", "0.5", "1"]
    ]


def test_a_run_that_is_not_there_is_told_which_are(tracked: Store) -> None:
    done = command(tracked, "--compare", "a", "b")
    assert done.exit_code == 2 and done.stderr.startswith("no run 'a'; runs are: sums-bootstrapfewshot-")


def test_everything_is_there_as_json_for_a_pipeline(tracked: Store) -> None:
    worked, plain = json.loads(command(tracked, "--json").stdout)
    assert worked["metrics"]["gain"] == 0.5 and worked["parameters"]["optimizer"] == worked["optimizer"]
    both = json.loads(command(tracked, "--json", "--compare", worked["name"], plain["name"]).stdout)
    assert both["metrics"]["test_score"] == [1.0, 0.5] and len(both["runs"]) == 2


def test_a_build_that_is_still_running_is_listed_without_a_score(store: Store) -> None:
    record(store, Began("b-1"), status="RUNNING")
    (run,) = list_runs(store)
    assert (run.status, run.release, cost_of(run)) == ("RUNNING", None, "")
    assert command(store).exit_code == 0


def test_where_nothing_is_tracked_it_says_what_does(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        done = CliRunner().invoke(main, ["runs"])
    assert done.exit_code == 2 and "nothing is tracked in '.smallforge' yet" in done.stderr
    assert list(tmp_path.iterdir()) == []
