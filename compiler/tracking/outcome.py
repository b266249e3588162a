"""What a finished build leaves in its MLflow run: parameters, figures, answers, report, release.

Reads the release and its evidence on disk and nothing else, so a build can be logged as it ends or years
later, with the same result.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from compiler.report.figures import figures_of
from compiler.tracking.mlflow_store import Store
from compiler.tracking.parameters import parameters_of
from compiler.tracking.registry import RELEASE_FOLDER, move_aliases, register
from programs.aliases import read_aliases

WHOLE = "whole"
"""Value of the tag `logged` on a run that has everything."""
_SAMPLES = 25  # test examples, each with the answers of all contenders
_LONGEST_VALUE = 6000  # characters that MLflow keeps of a parameter
_PARAMETERS_AT_ONCE = 100
_METRICS_AT_ONCE = 500  # of the 1,000 that MLflow takes


@dataclass(frozen=True)
class Ended:
    """A finished build on disk."""

    home: Path
    """The release's folder."""
    build_id: str

    @property
    def program(self) -> str:
        return self.home.parent.name

    @property
    def version(self) -> str:
        return self.home.name

    @property
    def evidence(self) -> Path:
        return self.home / "evidence" / self.build_id

    def read(self) -> Mapping[str, Any]:
        return dict(json.loads((self.evidence / "build.json").read_bytes()))


def log_outcome(store: Store, run_id: str, ended: Ended) -> list[str]:
    """Completes the run, registers the release and moves the aliases.

    Returns the releases that have an alias on disk and are not registered.
    """
    build = ended.read()
    log_parameters(store, run_id, parameters_of(build))
    now, entities = int(time.time() * 1000), store.entities
    figures = [entities.Metric(name, value, now, 0) for name, value in figures_of(build).items()]
    tags = _tags(ended, build) | _log_files(store, run_id, ended)
    log_metrics(store, run_id, figures[_METRICS_AT_ONCE:])
    store.client.log_batch(
        run_id,
        figures[:_METRICS_AT_ONCE],
        tags=[entities.RunTag(name, value) for name, value in tags.items()],
    )
    run = store.client.get_run(run_id)
    _mark_candidate(store, run, build)
    number = register(store, run, ended.program, ended.version)
    absent = move_aliases(store, ended.program, read_aliases(ended.home.parent))
    last = {"model_version": number, "logged": WHOLE}
    store.client.log_batch(run_id, tags=[entities.RunTag(name, value) for name, value in last.items()])
    return absent


def log_parameters(store: Store, run_id: str, parameters: Mapping[str, str]) -> None:
    """Those that the run has not yet: what a build was begun with stands when it is resumed with others."""
    known = store.client.get_run(run_id).data.params
    new = [
        store.entities.Param(name, value[:_LONGEST_VALUE])
        for name, value in parameters.items()
        if name not in known
    ]
    for start in range(0, len(new), _PARAMETERS_AT_ONCE):
        store.client.log_batch(run_id, params=new[start : start + _PARAMETERS_AT_ONCE])


def log_metrics(store: Store, run_id: str, metrics: Sequence[Any]) -> None:
    for start in range(0, len(metrics), _METRICS_AT_ONCE):
        store.client.log_batch(run_id, metrics=metrics[start : start + _METRICS_AT_ONCE])


def nested_runs(store: Store, experiment: str, run_id: str) -> dict[str, str]:
    """The runs of a build's candidates: name -> run id."""
    found: dict[str, str] = {}
    token = None
    while True:
        page = store.client.search_runs(
            [experiment], f"tags.mlflow.parentRunId = '{run_id}'", page_token=token
        )
        found |= {run.data.tags["candidate"]: run.info.run_id for run in page if "candidate" in run.data.tags}
        token = page.token
        if not token:
            return found


def _mark_candidate(store: Store, run: Any, build: Mapping[str, Any]) -> None:
    """Marks the candidate that became the release, among those that were scored."""
    chosen = (build.get("candidate") or {}).get("name")
    nested = nested_runs(store, run.info.experiment_id, run.info.run_id)
    if chosen in nested:
        store.client.set_tag(nested[chosen], "chosen", "True")


def _log_files(store: Store, run_id: str, ended: Ended) -> dict[str, str]:
    """The release as it lies on disk, with this build's evidence only; the report once more on top.

    Returns the tags by which MLflow knows what it can show.
    """
    client, evidence = store.client, f"{RELEASE_FOLDER}/evidence/{ended.build_id}"
    for path in _plain_files(ended.home):
        client.log_artifact(run_id, str(path), RELEASE_FOLDER)
    for path in _plain_files(ended.evidence):
        client.log_artifact(run_id, str(path), evidence)
    report = ended.evidence / "report.html"
    if report.is_file():
        client.log_artifact(run_id, str(report))
    rows = _first_rows(ended.evidence / "scorecard.jsonl")
    if not rows:
        return {}
    client.log_dict(run_id, _table(rows), "samples.json")
    return {"mlflow.loggedArtifacts": json.dumps([{"path": "samples.json", "type": "table"}])}


def _plain_files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _first_rows(scorecard: Path) -> list[dict[str, Any]]:
    if not scorecard.is_file():
        return []
    with scorecard.open(encoding="utf-8") as lines:
        rows = map(json.loads, lines)
        return list(takewhile(lambda row: row["id"] < _SAMPLES, rows))


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """In the form that MLflow's pages show; a cell is a plain value, and a column says something."""
    columns = [
        name
        for name in dict.fromkeys(name for row in rows for name in row)
        if any(row.get(name) is not None for row in rows)
    ]
    return {"columns": columns, "data": [[_cell(row.get(name)) for name in columns] for row in rows]}


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _tags(ended: Ended, build: Mapping[str, Any]) -> dict[str, str]:
    scores, lowering = build.get("scores", {}), build.get("lowering", {})
    tags = {
        "release": ended.version,
        "lowered": lowering.get("lowered"),
        "why_interpreted": lowering.get("reason"),
        "proven": scores.get("proven"),
        "weak": build.get("split", {}).get("weak"),
        "stopped": build.get("stopped"),
        "mlflow.note.content": f"Release `{ended.program}@{ended.version}`, build `{ended.build_id}`.",
    }
    return {name: str(value) for name, value in tags.items() if value is not None}
