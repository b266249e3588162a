from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from compiler.events import Began, CandidateScored, Finished, Spent
from compiler.tracking.afterwards import log_release
from compiler.tracking.mlflow_store import Store
from programs.errors import ReleaseInvalid
from programs.release import canonical_json, digest
from tests.compiler.conftest import Builds
from tests.compiler.tracking.test_recording import record, runs
from tests.compiler.tracking.test_registry import aliases


def home_of(builds: Builds) -> Any:
    assert isinstance(builds.worked[-1], Finished)
    return builds.worked[-1].result


def test_a_build_is_logged_from_its_evidence_as_it_would_have_been_while_it_ran(
    store: Store, builds: Builds
) -> None:
    result = home_of(builds)
    (line, unknown) = log_release(store, result.path)
    assert line == f"build {result.build_id} is logged as sums-bootstrapfewshot-{result.build_id}"
    assert "sums@" in unknown and "compiler log" in unknown  # the champion is another release
    (late,) = runs(store)
    assert late.info.status == "FINISHED" and aliases(store) == {"candidate": result.version}
    live = record(store, Began("live"), *builds.worked[1:])
    curves = ("progress/", "candidates/", "estimated/")
    final = {name: value for name, value in live.data.metrics.items() if not name.startswith(curves)}
    assert late.data.metrics == final
    assert set(live.data.params) == set(late.data.params)


def test_it_began_and_ended_when_the_build_did(store: Store, builds: Builds) -> None:
    list(log_release(store, home_of(builds).path))
    (run,) = runs(store)
    began = home_of(builds).build_id[:15]
    began_at = datetime.strptime(f"{began}+0000", "%Y%m%d-%H%M%S%z")
    assert run.info.start_time // 1000 == began_at.timestamp()
    assert 0 < run.info.end_time - run.info.start_time < 60_000


def test_logging_again_changes_nothing(store: Store, builds: Builds) -> None:
    list(log_release(store, home_of(builds).path))
    before = runs(store)[0].to_dictionary()
    (line,) = log_release(store, home_of(builds).path)
    assert line.endswith("is logged already, as " + before["info"]["run_name"])
    assert runs(store)[0].to_dictionary() == before and len(runs(store)) == 1


def test_a_run_that_was_cut_off_is_completed(store: Store, builds: Builds) -> None:
    result = home_of(builds)
    cut = record(store, Began(result.build_id), Spent(5, 50, 5, None, 1.0), status="KILLED")
    list(log_release(store, result.path))
    (run,) = runs(store)
    assert run.info.run_id == cut.info.run_id and run.info.status == "FINISHED"
    assert run.data.metrics["test_score"] == 1.0 and run.data.metrics["progress/calls"] == 5


def test_candidates_that_are_missing_are_added(store: Store, builds: Builds) -> None:
    result = home_of(builds)
    evidence = result.path / "evidence" / result.build_id
    build = json.loads((evidence / "build.json").read_text())
    names = ["known", "lost"]
    build["candidates"] = [{"name": name, "score": 0.5, "n": 3, "dropped": False} for name in names]
    (evidence / "build.json").write_text(json.dumps(build))
    digests = json.loads((evidence / "digests.json").read_text())
    digests["build.json"] = digest((evidence / "build.json").read_bytes())
    (evidence / "digests.json").write_bytes(canonical_json(digests))
    record(store, Began(result.build_id), CandidateScored("known", 0.5, 3, best=True, dropped=False))
    list(log_release(store, result.path))
    assert sorted(run.info.run_name for run in runs(store, "candidate")) == names


def test_changed_evidence_is_not_logged(store: Store, builds: Builds) -> None:
    result = home_of(builds)
    (result.path / "evidence" / result.build_id / "build.json").write_text("{}")
    with pytest.raises(ReleaseInvalid, match=r"build\.json changed"):
        list(log_release(store, result.path))
    assert store.client.get_experiment_by_name("sums") is None
