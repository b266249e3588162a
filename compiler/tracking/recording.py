"""Writes one build's events into MLflow as they come: a run for the build, one below it for each candidate.

Knows the store and the events; nothing of where the events come from. What the store raises passes through.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from compiler.events import (
    Began,
    CandidateScored,
    Described,
    Estimated,
    Event,
    Finished,
    Scored,
    Spent,
    StageStarted,
)
from compiler.tracking.mlflow_store import Store, experiment_of
from compiler.tracking.outcome import Ended, log_metrics, log_outcome, log_parameters, nested_runs
from compiler.tracking.parameters import as_texts

_FLUSH_AT = 500  # metrics
_FLUSH_EVERY = 2.0  # seconds, while events come
_AMOUNTS = ("calls", "prompt_tokens", "completion_tokens", "usd")
_POINTS = 250  # of a stage's running score, at most about


@dataclass(frozen=True)
class Tracked:
    """The build that is tracked, as far as it is known before it begins."""

    program: str
    optimizer: str = ""


@dataclass
class Recorder:
    """Reads the events of one build; a resumed build goes on with its own run."""

    store: Store
    tracked: Tracked
    _run: str | None = None
    _nested: dict[str, str] = field(default_factory=dict)
    _pending: list[Any] = field(default_factory=list)
    _flushed: float = 0.0
    _candidates: int = 0
    _best: float = 0.0
    _stages: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._experiment = experiment_of(self.store, self.tracked.program)

    def read(self, event: Event) -> None:
        if isinstance(event, Began):
            self._run = find_or_create(self.store, self._experiment, self.tracked, event.build_id)
            self._nested = nested_runs(self.store, self._experiment, self._run) if event.resumed else {}
        if self._run is None:
            return
        if isinstance(event, Described):
            log_parameters(self.store, self._run, as_texts(event.parameters))
        elif isinstance(event, CandidateScored):
            self._candidate(self._run, event)
        elif isinstance(event, Finished):
            log_outcome(self.store, self._run, Ended(event.result.path, event.result.build_id))
        elif isinstance(event, StageStarted):
            self._stages[event.stage] += 1
        for name, value, step in self._points(event):
            self._metric(name, value, step)
        full = len(self._pending) >= _FLUSH_AT or time.monotonic() - self._flushed >= _FLUSH_EVERY
        if full or isinstance(event, StageStarted | Finished):
            self._flush()

    def end(self, status: str) -> None:
        """Marks the run as FINISHED, FAILED or KILLED."""
        self._flush()
        if self._run is not None:
            self.store.client.set_terminated(self._run, status)

    def _candidate(self, run: str, event: CandidateScored) -> None:
        if event.name not in self._nested:
            self._nested[event.name] = create_nested(self.store, self._experiment, run, event.name)
        log_candidate(self.store, self._nested[event.name], vars(event))
        if not event.dropped:
            self._candidates += 1
            self._best = max(self._best, event.score)
            self._metric("candidates/score", event.score, self._candidates)
            self._metric("candidates/best_score", self._best, self._candidates)

    def _points(self, event: Event) -> Iterator[tuple[str, float, int]]:
        """What an event adds to the curves of the run: name, value, step."""
        if isinstance(event, Scored):
            if is_a_point(event):
                # A stage that comes again measures another contender, on a curve of its own.
                again = f"_{times}" if (times := self._stages[event.stage]) > 1 else ""
                yield f"progress/{event.stage}{again}_score", event.score or 0.0, event.done
        elif isinstance(event, Spent):
            for name in _AMOUNTS:
                if getattr(event, name) is not None:
                    yield f"progress/{name}", getattr(event, name), event.calls
        elif isinstance(event, Estimated):
            for name in (*_AMOUNTS, "seconds"):
                if getattr(event, name) is not None:
                    yield f"estimated/{name}", getattr(event, name), 0

    def _metric(self, name: str, value: float, step: int) -> None:
        self._pending.append(self.store.entities.Metric(name, float(value), _now(), step))

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        self._flushed = time.monotonic()
        if self._run is not None:
            log_metrics(self.store, self._run, pending)


def is_a_point(event: Scored) -> bool:
    """Whether a running score becomes a point of a curve: some hundred of a stage are enough."""
    # While candidates race, the mean of one is no score of the stage.
    told = event.score is not None and event.candidate is None
    return told and (event.done % max(1, event.total // _POINTS) == 0 or event.done == event.total)


def find_or_create(
    store: Store, experiment: str, tracked: Tracked, build_id: str, begun: int | None = None
) -> str:
    """The id of this build's run, new or from before an interruption."""
    earlier = find(store, experiment, build_id)
    if earlier is not None:
        store.client.update_run(earlier.info.run_id, status="RUNNING")
        return str(earlier.info.run_id)
    tags = {"kind": "build", "build_id": build_id, "program": tracked.program}
    name = run_name(tracked, build_id)
    run = store.client.create_run(experiment, start_time=begun or _now(), tags=tags, run_name=name)
    return str(run.info.run_id)


def find(store: Store, experiment: str, build_id: str) -> Any:
    """The run of a build, None where there is none."""
    found = store.client.search_runs([experiment], f"tags.build_id = '{build_id}'", max_results=1)
    return found[0] if found else None


def run_name(tracked: Tracked, build_id: str) -> str:
    """Program, optimiser and build, as in gsm8k-randomsearch-20261121-091203-a3f2."""
    optimizer = tracked.optimizer.rpartition("With")[2].lower()
    return "-".join(part for part in (tracked.program, optimizer, build_id) if part)


def create_nested(store: Store, experiment: str, run: str, name: str) -> str:
    tags = {"kind": "candidate", "candidate": name, "mlflow.parentRunId": run}
    return str(store.client.create_run(experiment, tags=tags, run_name=name).info.run_id)


def log_candidate(store: Store, run: str, told: Mapping[str, Any]) -> None:
    """A candidate's figures; of one that was dropped, its score is the most it could still have reached."""
    n = int(told.get("n") or 0)
    names = ("score", "n", "prompt_tokens", "demos")
    known = {name: told[name] for name in names if told.get(name) is not None}
    metrics = [store.entities.Metric(name, float(value), _now(), n) for name, value in known.items()]
    tags = [store.entities.RunTag("dropped", str(bool(told.get("dropped"))))]
    store.client.log_batch(run, metrics=metrics, tags=tags)
    store.client.set_terminated(run, "FINISHED")


def _now() -> int:
    return int(time.time() * 1000)
