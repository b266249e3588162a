"""Writes a build into MLflow: parameters, metrics over time, the release and some of its answers.

A reader of the event stream. MLflow is imported here only, when a build is tracked. A store that fails while
a build runs ends the tracking, never the build.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from compiler.errors import UserMistake
from compiler.events import (
    Began,
    BuildResult,
    CandidateScored,
    Event,
    Finished,
    Scored,
    ScoreSummary,
    Spent,
    StageStarted,
)

OFF = "off"
_BATCH = 500  # MLflow takes at most 1,000 metrics at a time
_SAMPLES = 50
_LONGEST_PARAMETER = 6000  # characters that MLflow keeps of one


class TrackingUnavailable(UserMistake):
    """MLflow is not installed, or its store can't be opened."""


class Tracking(Protocol):
    """A reader of the event stream that lasts as long as its `with` block."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def read(self, event: Event) -> None: ...


class Untracked:
    """Tracking that is off."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, event: Event) -> None:
        pass


@dataclass(frozen=True)
class Tracked:
    """What is known of a build before it begins; parameters without a value are left out."""

    program: str
    parameters: Mapping[str, object] = field(default_factory=dict)


def open_tracking(uri: str | None, state: Path, tracked: Tracked, warn: Callable[[str], None]) -> Tracking:
    """Tracking at `uri`: `off`, a server or store, or by default SQLite in the state folder.

    `warn` is told, once, when the store fails while the build runs.

    Raises:
        TrackingUnavailable: MLflow is not installed, or the store can't be opened.
    """
    return Untracked() if uri == OFF else MlflowRun(uri, state, tracked, warn)


class MlflowRun:
    """One run of MLflow for one build; a resumed build goes on with its own run."""

    def __init__(self, uri: str | None, state: Path, tracked: Tracked, warn: Callable[[str], None]) -> None:
        mlflow = _import_mlflow()
        self._entities = mlflow.entities
        self._failures = (mlflow.exceptions.MlflowException, OSError)
        self._tracked, self._warn = tracked, warn
        self._run: str | None = None
        self._pending: list[Any] = []
        self._candidates, self._best = 0, 0.0
        self._finished = False
        artefacts = None if uri else (state / "mlartifacts").resolve().as_uri()
        own = uri is None
        uri = uri or f"sqlite:///{(state / 'mlflow.db').resolve()}"
        try:
            if own:
                state.mkdir(parents=True, exist_ok=True)
            self._client = mlflow.MlflowClient(tracking_uri=uri)
            found = self._client.get_experiment_by_name(tracked.program)
            created = found or self._client.create_experiment(tracked.program, artefacts)
        except self._failures as error:
            raise TrackingUnavailable(
                f"can't track the build at {uri!r}: {_first_line(error)}; give another --mlflow-uri, or 'off'"
            ) from error
        self._experiment = created if isinstance(created, str) else created.experiment_id

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A build below its target raises after it has finished.
        failed = "FAILED" if kind is not None and issubclass(kind, Exception) else "KILLED"
        status = "FINISHED" if self._finished else failed
        with self._forgiven():
            self._flush()
            if self._run is not None:
                self._client.set_terminated(self._run, status)

    def read(self, event: Event) -> None:
        with self._forgiven():
            if isinstance(event, Began):
                self._run = self._find_or_create(event.build_id)
            self._take(event)
            if len(self._pending) >= _BATCH or isinstance(event, StageStarted | Finished):
                self._flush()
            if isinstance(event, Finished):
                self._finished = True
                if self._run is not None:
                    self._finish(self._run, event.result)

    def _find_or_create(self, build_id: str) -> str:
        """The id of this build's run, new or from before an interruption."""
        client = self._client
        earlier = client.search_runs([self._experiment], f"tags.build_id = '{build_id}'", max_results=1)
        if earlier:
            client.update_run(earlier[0].info.run_id, status="RUNNING")
            return str(earlier[0].info.run_id)
        tags = {"build_id": build_id, "program": self._tracked.program}
        run = str(client.create_run(self._experiment, tags=tags, run_name=build_id).info.run_id)
        given = {name: value for name, value in self._tracked.parameters.items() if value is not None}
        params = [
            self._entities.Param(name, str(value)[:_LONGEST_PARAMETER]) for name, value in given.items()
        ]
        client.log_batch(run, params=params)
        return run

    def _take(self, event: Event) -> None:
        if isinstance(event, Scored) and event.score is not None:
            # While candidates race, the mean of one is no score of the stage.
            if event.candidate is None:
                self._metric(f"{event.stage}_score", event.score, event.done)
        elif isinstance(event, CandidateScored):
            self._candidates += 1
            if not event.dropped:
                self._best = max(self._best, event.score)
                self._metric("candidate_score", event.score, self._candidates)
                self._metric("best_candidate_score", self._best, self._candidates)
        elif isinstance(event, Spent):
            for name, value in _spent(event):
                self._metric(name, value, event.calls)

    def _finish(self, run: str, result: BuildResult) -> None:
        last = result.spent.calls
        for prefix, summary in (("unoptimised", result.baseline), ("compiled", result.compiled)):
            for name, value in _summary(summary):
                self._metric(f"{prefix}_{name}", value, last)
        test = result.difference
        for name, value in (
            ("gain", test.difference),
            ("gain_low", test.low),
            ("gain_high", test.high),
            ("p", test.p),
        ):
            self._metric(name, value, last)
        self._metric("seconds", result.seconds, last)
        self._flush()
        for name in ("version", "alias", "lowered", "proven", "weak"):
            self._client.set_tag(run, name, str(getattr(result, name)))
        self._client.log_artifacts(run, str(result.path), "release")
        self._log_samples(run, result.path / "evidence" / result.build_id / "scorecard.jsonl")

    def _log_samples(self, run: str, scorecard: Path) -> None:
        """The first answers as a table of the run, in the form that MLflow's pages show."""
        if not scorecard.is_file():
            return
        with scorecard.open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line, _ in zip(lines, range(_SAMPLES), strict=False)]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        table = {"columns": columns, "data": [[row.get(name) for name in columns] for row in rows]}
        self._client.log_dict(run, table, "samples.json")
        listed = json.dumps([{"path": "samples.json", "type": "table"}])
        self._client.set_tag(run, "mlflow.loggedArtifacts", listed)

    def _metric(self, name: str, value: float, step: int) -> None:
        self._pending.append(self._entities.Metric(name, float(value), int(time.time() * 1000), step))

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        if self._run is None:
            return
        for start in range(0, len(pending), _BATCH):
            self._client.log_batch(self._run, metrics=pending[start : start + _BATCH])

    @contextlib.contextmanager
    def _forgiven(self) -> Iterator[None]:
        """A store that fails is told of once and then left alone: the build matters more."""
        try:
            yield
        except self._failures as error:
            self._warn(f"MLflow failed, tracking of this build stops: {_first_line(error)}")
            self._run = None


def _summary(summary: ScoreSummary) -> Iterator[tuple[str, float]]:
    yield "score", summary.mean
    yield "score_low", summary.low
    yield "score_high", summary.high
    yield "n", summary.n
    yield "unparseable", summary.unparseable
    yield "errors", summary.errors
    yield "cut", summary.cut
    if summary.tokens_per_answer is not None:
        yield "tokens_per_answer", summary.tokens_per_answer
    if summary.usd_per_answer is not None:
        yield "usd_per_answer", summary.usd_per_answer


def _spent(spent: Spent) -> Iterator[tuple[str, float]]:
    yield "calls", spent.calls
    yield "prompt_tokens", spent.prompt_tokens
    yield "completion_tokens", spent.completion_tokens
    if spent.usd is not None:
        yield "usd", spent.usd


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _import_mlflow() -> Any:
    # MLflow is set up by its environment alone, and reads it while it is imported.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
    try:
        import mlflow.entities
        import mlflow.exceptions
    except ModuleNotFoundError as error:
        raise TrackingUnavailable(
            f"tracking needs {error.name!r}, which is not installed: pip install 'smallforge[compiler]', "
            "or give --mlflow-uri off"
        ) from error
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow
