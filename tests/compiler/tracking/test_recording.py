from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compiler.events import Began, CandidateScored, Described, Event, Finished, Scored, Spent, StageStarted
from compiler.tracking.mlflow_store import Store
from compiler.tracking.recording import Recorder, Tracked, run_name
from tests.compiler.conftest import Builds

TRACKED = Tracked("sums", "BootstrapFewShot")


def record(store: Store, *events: Event, status: str = "FINISHED") -> Any:
    """The run that these events become."""
    recorder = Recorder(store, TRACKED)
    for event in events:
        recorder.read(event)
    recorder.end(status)
    assert isinstance(events[0], Began)
    build_id = events[0].build_id
    return next(run for run in runs(store) if run.data.tags["build_id"] == build_id)


def runs(store: Store, kind: str = "build") -> list[Any]:
    experiment = store.client.get_experiment_by_name("sums").experiment_id
    return list(store.client.search_runs([experiment], f"tags.kind = '{kind}'"))


def curve(store: Store, run: Any, name: str) -> list[tuple[int, float]]:
    history = store.client.get_metric_history(run.info.run_id, name)
    return [(metric.step, metric.value) for metric in history]


def test_a_finished_build_is_one_run_with_what_it_measured(store: Store, builds: Builds) -> None:
    run = record(store, *builds.worked)
    last = builds.worked[-1]
    assert isinstance(last, Finished)
    assert run.info.run_name == f"sums-bootstrapfewshot-{last.result.build_id}"
    assert run.info.status == "FINISHED" and run.data.tags["release"] == last.result.version
    measured = {"test_score": 1.0, "baseline_score": 0.5, "gain": 0.5, "test_n": 40, "zero_shot/score": 0.5}
    assert {name: run.data.metrics[name] for name in measured} == measured
    assert 0.9 < run.data.metrics["test_score_low"] < 1 and run.data.metrics["p"] < 0.01
    assert run.data.metrics["spent/score/student/calls"] == 40 and run.data.metrics["seconds_p95"] > 0
    wanted = {
        "optimizer": "BootstrapFewShot",
        "seed": "0",
        "sampling.max_tokens": "64",
        "examples.test": "40",
    }
    assert {name: run.data.params[name] for name in wanted} == wanted
    assert len(run.data.params["student.fingerprint"]) == 12 and "library.dspy" in run.data.params
    assert run.data.params["examples.test"] == "40" and len(run.data.params["fingerprint.train"]) > 8


def test_release_report_and_answers_are_artefacts(store: Store, builds: Builds) -> None:
    last = builds.worked[-1]
    assert isinstance(last, Finished)
    evidence = last.result.path / "evidence" / last.result.build_id
    (evidence / "report.html").write_text("<html></html>")
    (last.result.path / "evidence" / "another").mkdir()
    run = record(store, *builds.worked)
    kept = Path(run.info.artifact_uri.removeprefix("file://"))
    assert (kept / "release" / "plan.json").read_bytes() == (last.result.path / "plan.json").read_bytes()
    assert {path.name for path in (kept / "release" / "evidence").iterdir()} == {last.result.build_id}
    assert (kept / "report.html").is_file()
    table = json.loads((kept / "samples.json").read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert rows[0]["expected"] == '{"answer": "3000"}' and {row["id"] for row in rows} == set(range(25))
    assert {"before", "after"} <= {row["program"] for row in rows}
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [{"path": "samples.json", "type": "table"}]


def test_curves_have_steps_while_the_build_runs(store: Store) -> None:
    run = record(
        store,
        Began("b-1"),
        StageStarted("baseline", 2),
        Scored("baseline", 1, 2, 1.0),
        Scored("baseline", 2, 2, 0.5),
        StageStarted("baseline", 2),
        Scored("baseline", 1, 2, 0.0),
        Spent(calls=7, prompt_tokens=70, completion_tokens=10, usd=None, seconds=1),
    )
    assert curve(store, run, "progress/baseline_score") == [(1, 1.0), (2, 0.5)]
    assert curve(store, run, "progress/baseline_2_score") == [(1, 0.0)]
    assert curve(store, run, "progress/prompt_tokens") == [(7, 70.0)] and "usd" not in str(run.data.metrics)


def test_a_long_stage_becomes_a_curve_of_some_hundred_points(store: Store) -> None:
    run = record(store, Began("b-1"), *(Scored("score", n, 1001, n / 1001) for n in range(1, 1002)))
    points = curve(store, run, "progress/score_score")
    assert 200 < len(points) <= 255 and points[-1] == (1001, 1.0)


def test_every_candidate_is_a_run_below_the_build(store: Store) -> None:
    run = record(
        store,
        Began("b-1"),
        CandidateScored("one", 0.6, 10, best=True, dropped=False, prompt_tokens=120, demos=4),
        CandidateScored("two", 0.9, 3, best=False, dropped=True),
    )
    one, two = sorted(runs(store, "candidate"), key=lambda nested: str(nested.info.run_name))
    assert {nested.data.tags["mlflow.parentRunId"] for nested in (one, two)} == {run.info.run_id}
    assert one.data.metrics == {"score": 0.6, "n": 10, "prompt_tokens": 120, "demos": 4}
    assert (one.data.tags["dropped"], two.data.tags["dropped"]) == ("False", "True")
    assert curve(store, run, "candidates/best_score") == [(1, 0.6)]


def test_a_resumed_build_goes_on_with_its_run_and_its_candidates(store: Store) -> None:
    scored = CandidateScored("one", 0.6, 10, best=True, dropped=False)
    record(store, Began("b-1"), Described({"seed": 1, "concurrency": 4}), scored, status="KILLED")
    assert runs(store)[0].info.status == "KILLED"
    run = record(
        store, Began("b-1", resumed=True), Described({"seed": 1, "concurrency": 8, "new": "x"}), scored
    )
    assert len(runs(store)) == 1 and len(runs(store, "candidate")) == 1 and run.info.status == "FINISHED"
    assert run.data.params == {"seed": "1", "concurrency": "4", "new": "x"}


def test_a_deleted_experiment_comes_back(store: Store) -> None:
    record(store, Began("b-1"))
    store.client.delete_experiment(store.client.get_experiment_by_name("sums").experiment_id)
    record(store, Began("b-2"))
    assert len(runs(store)) == 2


def test_a_run_is_named_by_program_optimiser_and_build() -> None:
    tracked = Tracked("gsm8k", "BootstrapFewShotWithRandomSearch")
    assert run_name(tracked, "20261121-091203-a3f2") == "gsm8k-randomsearch-20261121-091203-a3f2"
