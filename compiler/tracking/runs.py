"""The tracked builds of a store as a person asks for them: listed, filtered, compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from compiler.errors import UserMistake
from compiler.tracking.mlflow_store import Store

_MOST = 1000


@dataclass(frozen=True)
class Run:
    """One tracked build."""

    name: str
    run_id: str
    program: str
    build_id: str
    status: str
    started: str
    release: str | None
    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def optimizer(self) -> str:
        return self.parameters.get("optimizer", "")

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "optimizer": self.optimizer}


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side: parameters that differ, and metrics that both or one of them have."""

    first: Run
    second: Run

    @property
    def parameters(self) -> dict[str, tuple[str | None, str | None]]:
        pairs = _pairs(self.first.parameters, self.second.parameters)
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    @property
    def metrics(self) -> dict[str, tuple[float | None, float | None]]:
        """What was measured at the end; curves are for MLflow's own pages."""
        pairs = _pairs(self.first.metrics, self.second.metrics)
        return {name: pair for name, pair in pairs.items() if "/" not in name}

    def as_dict(self) -> dict[str, Any]:
        return {
            "runs": [self.first.as_dict(), self.second.as_dict()],
            "parameters": self.parameters,
            "metrics": self.metrics,
        }


def list_runs(store: Store, program: str | None = None, wanted: str = "") -> list[Run]:
    """Builds of one program or of all, newest first; `wanted` is a filter in MLflow's own words.

    Raises:
        UserMistake: there is no such program, or the filter can't be read.
        TrackingUnavailable: the store fails.
    """
    with store.waited_for():
        experiments = {found.name: found.experiment_id for found in store.client.search_experiments()}
    if program is not None and program not in experiments:
        known = ", ".join(sorted(set(experiments) - {"Default"})) or "none"
        raise UserMistake(f"no runs of {program!r} in MLflow; there are runs of: {known}")
    ids = list(experiments.values()) if program is None else [experiments[program]]
    condition = " and ".join(part for part in (wanted.strip(), "tags.kind = 'build'") if part)
    return [_run(found) for found in _search(store, ids, condition, wanted)]


def compare(runs: Sequence[Run], first: str, second: str) -> Comparison:
    """Two of these runs, each by its name, its build's id, its run id, or its release's version.

    Raises:
        UserMistake: there is no such run, or more than one.
    """
    return Comparison(_only(runs, first), _only(runs, second))


def run_cells(run: Run) -> Iterator[str]:
    """Name, optimiser, score with its interval, gain with p, release, cost and status, for a table."""
    told = run.metrics
    yield run.name
    yield run.optimizer
    yield f"{100 * told['test_score']:.1f} %" if "test_score" in told else ""
    bounds = [told[name] for name in ("test_score_low", "test_score_high") if name in told]
    yield " to ".join(f"{100 * bound:.1f}" for bound in bounds)
    gain = told.get("gain")
    yield "" if gain is None else f"{100 * gain:+.1f} (p {told.get('p', 1.0):.2g})"
    yield run.release or ""
    yield cost_of(run)
    yield run.status.lower()


def cost_of(run: Run) -> str:
    """USD where the prices are known, else tokens."""
    usd, tokens = run.metrics.get("usd"), run.metrics.get("prompt_tokens")
    if usd is not None:
        return f"{usd:.4f} USD"
    replies = run.metrics.get("completion_tokens", 0)
    return "" if tokens is None else f"{tokens + replies:,.0f} tokens"


def _search(store: Store, experiments: Sequence[str], condition: str, wanted: str) -> Iterator[Any]:
    if not experiments:
        return
    token = None
    while True:
        try:
            page = store.client.search_runs(experiments, condition, max_results=_MOST, page_token=token)
        except store.failures as error:
            if getattr(error, "error_code", "") == "INVALID_PARAMETER_VALUE" and wanted:
                raise UserMistake(f"can't filter by {wanted!r}: {store.reason(error)}; {_EXAMPLE}") from error
            with store.waited_for():
                raise
        yield from page
        token = page.token
        if not token:
            return


_EXAMPLE = "give for example --filter \"metrics.test_score > 0.8 and params.optimizer = 'LabeledFewShot'\""


def _run(found: Any) -> Run:
    tags = found.data.tags
    started = datetime.fromtimestamp(found.info.start_time / 1000, UTC)
    return Run(
        name=found.info.run_name,
        run_id=found.info.run_id,
        program=tags.get("program", ""),
        build_id=tags.get("build_id", ""),
        status=found.info.status,
        started=started.isoformat(timespec="seconds"),
        release=tags.get("release"),
        parameters=dict(found.data.params),
        metrics=dict(found.data.metrics),
    )


def _only(runs: Sequence[Run], wanted: str) -> Run:
    found = [run for run in runs if wanted in (run.name, run.build_id, run.run_id, run.release)]
    if not found:
        names = ", ".join(run.name for run in runs[:20]) or "none"
        raise UserMistake(f"no run {wanted!r}; runs are: {names}")
    if len(found) > 1:
        raise UserMistake(f"{wanted!r} is the release of {', '.join(run.name for run in found)}; say which")
    return found[0]


def _pairs(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (first.get(name), second.get(name)) for name in sorted({*first, *second})}
