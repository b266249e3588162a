"""Logs in MLflow what a build could not log while it ran, from the evidence beside its release."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from compiler.tracking.mlflow_store import Store, experiment_of
from compiler.tracking.outcome import WHOLE, Ended, log_outcome, nested_runs
from compiler.tracking.recording import Tracked, create_nested, find, find_or_create, log_candidate
from programs.errors import ReleaseInvalid
from programs.release import read_release, verify_evidence

_STARTED = re.compile(r"(\d{8}-\d{6})-")


def log_release(store: Store, home: Path) -> Iterator[str]:
    """Logs every build of a release that MLflow has not whole yet; a line for each.

    Raises:
        ReleaseInvalid: the release or its evidence was changed.
        TrackingUnavailable: the store fails.
    """
    release = read_release(home)
    builds = verify_evidence(home)
    if not builds:
        raise ReleaseInvalid(f"{release.name} has no evidence of a build to log")
    with store.waited_for():
        experiment = experiment_of(store, release.identity.program)
    for build_id in builds:
        with store.waited_for():
            yield from _log(store, experiment, Ended(home, build_id))


def _log(store: Store, experiment: str, ended: Ended) -> Iterator[str]:
    run = find(store, experiment, ended.build_id)
    if run is not None and run.data.tags.get("logged") == WHOLE:
        yield f"build {ended.build_id} is logged already, as {run.info.run_name}"
        return
    build = ended.read()
    tracked = Tracked(ended.program, build.get("asked", {}).get("optimizer", ""))
    begun = _begun(ended.build_id)
    run_id = find_or_create(store, experiment, tracked, ended.build_id, begun)
    _log_candidates(store, experiment, run_id, build)
    absent = log_outcome(store, run_id, ended)
    over = None if begun is None else begun + int(1000 * build.get("seconds", 0))
    store.client.set_terminated(run_id, "FINISHED", over)
    yield f"build {ended.build_id} is logged as {store.client.get_run(run_id).info.run_name}"
    for name in absent:
        yield f"{name} has an alias here and is not in MLflow yet: compiler log {name}"


def _log_candidates(store: Store, experiment: str, run_id: str, build: Mapping[str, Any]) -> None:
    """The candidates that evidence of this build lists and the run lacks."""
    listed = build.get("candidates")
    known = nested_runs(store, experiment, run_id)
    for told in listed if isinstance(listed, list) else []:
        if told.get("name") not in known and told.get("score") is not None:
            log_candidate(store, create_nested(store, experiment, run_id, told["name"]), told)


def _begun(build_id: str) -> int | None:
    """When a build began, in milliseconds, if its id says so; one that was named by hand does not."""
    found = _STARTED.match(build_id)
    if found is None:
        return None
    return int(datetime.strptime(found[1], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp() * 1000)
