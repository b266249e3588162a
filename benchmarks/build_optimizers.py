"""Every optimiser beside DSPy's own of that name: wall time, model calls, and the scores reached.

As `benchmarks.build`, at small sizes and with the cache of DSPy's LM off: same engine, rows, arguments, seed
and proposer, which is a server that writes the same instructions for both. Time and calls are those of the
search; beside them stands the whole process, in which a build of ours also gets to know its models, proves
the prompt and writes release and report. DSPy's calls are those that the engine itself counts, so nothing
else may use it meanwhile.

    engine serve &
    python -m benchmarks.build_optimizers                      all rows
    python -m benchmarks.build_optimizers --only COPRO,GEPA --seeds 1 --no-result
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from benchmarks.build import (
    ROOT,
    SIDES,
    BenchmarkFailed,
    Engine,
    Side,
    find_engine,
    machine,
    process,
    schedule,
    write_examples,
    write_program,
)
from benchmarks.rivals.proposer import MODEL, Proposer, proposing
from programs.loading import load_program
from programs.program import Split

PROGRAM = "arithmetic"
SIZES: Mapping[Split, int] = {"train": 60, "dev": 40, "test": 60}
Kind = Literal["own", "wrapped"]
GOALS: Mapping[Kind, float] = {"own": 0.6, "wrapped": 1.05}
"""The most of DSPy's wall time: of optimisers written anew, and of DSPy's own in our process."""


@dataclass(frozen=True)
class Row:
    """An optimiser and the arguments that both sides get."""

    kind: Kind
    arguments: Mapping[str, Any]


ROWS: Mapping[str, Row] = {
    "LabeledFewShot": Row("own", {"k": 4}),
    "BootstrapFewShot": Row("own", {"max_bootstrapped_demos": 12, "max_labeled_demos": 4}),
    "BootstrapFewShotWithRandomSearch": Row(
        "own", {"num_candidate_programs": 6, "max_bootstrapped_demos": 4, "max_labeled_demos": 4}
    ),
    "COPRO": Row("wrapped", {"breadth": 4, "depth": 2}),
    "MIPROv2": Row("wrapped", {"num_candidates": 4, "num_trials": 6}),
    "SIMBA": Row("wrapped", {"bsize": 20, "num_candidates": 4, "max_steps": 3}),
    "GEPA": Row("wrapped", {"max_metric_calls": 240}),
    "BetterTogether": Row(
        "wrapped",
        {
            "strategy": "p -> c",
            "arguments": {
                "p": {"num_candidate_programs": 1, "max_bootstrapped_demos": 2, "max_labeled_demos": 2},
                "c": {"breadth": 3, "depth": 1},
            },
        },
    ),
}


@dataclass(frozen=True)
class Run:
    """One build; `seconds` and `calls` are those of its search, `whole` is the wall time of its process."""

    optimizer: str
    side: Side
    seed: int
    seconds: float
    calls: int
    whole: float
    proposals: int
    before: float
    after: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8100", help="a vLLM server")
    parser.add_argument("--seeds", type=int, default=2, help="orders of the examples")
    parser.add_argument("--only", help="optimisers, joined by commas")
    parser.add_argument("--no-result", action="store_true", help="print only, write no file")
    asked = parser.parse_args()
    try:
        names = chosen(asked.only)
        engine = asyncio.run(find_engine(asked.url))
        with proposing() as proposer:
            runs = [
                _run(name, side, seed, engine, proposer)
                for name in names
                for side, seed in schedule(asked.seeds)
            ]
    except BenchmarkFailed as error:
        sys.exit(str(error))
    report = {name: summarise(name, runs) for name in names}
    print(table(report))
    if not asked.no_result:
        print(f"written to {_write(engine, asked.seeds, runs, report)}")


def chosen(only: str | None) -> list[str]:
    """The rows to run.

    Raises:
        BenchmarkFailed: one of them is none.
    """
    names = list(ROWS) if only is None else [name.strip() for name in only.split(",")]
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        raise BenchmarkFailed(f"no row {unknown[0]!r}: there are {', '.join(ROWS)}")
    return names


def _run(name: str, side: Side, seed: int, engine: Engine, proposer: Proposer) -> Run:
    program = load_program(PROGRAM)
    with tempfile.TemporaryDirectory(prefix="smallforge-bench-") as made:
        folder = Path(made)
        write_examples(program, seed, folder, SIZES)
        calls, proposer.calls = answered(engine), 0
        begun = time.monotonic()
        if side == "ours":
            told = _ours(name, seed, engine, proposer, folder)
        else:
            told = _stock(name, seed, engine, proposer, folder)
            told["search_calls"] = answered(engine) - calls - 2 * SIZES["test"]
        whole = round(time.monotonic() - begun, 2)
    seconds, calls = round(told["search_seconds"], 2), told["search_calls"]
    run = Run(name, side, seed, seconds, calls, whole, proposer.calls, told["before"], told["after"])
    print(f"{name:>32} {side:>6} seed {seed}: {seconds:6.1f} s {calls:5} calls {run.after:.3f}", flush=True)
    return run


def _ours(name: str, seed: int, engine: Engine, proposer: Proposer, folder: Path) -> dict[str, Any]:
    arguments = [write_program(PROGRAM, folder), str(folder), name, json.dumps(ROWS[name].arguments)]
    arguments += [engine.url, proposer.url, f"--seed={seed}"]
    return dict(json.loads(process(["benchmarks.build_timed", *arguments], folder, {})))


def _stock(name: str, seed: int, engine: Engine, proposer: Proposer, folder: Path) -> dict[str, Any]:
    # Without the second variable DSPy looks prices up on the network, which would be held against it here.
    surroundings = {"DSPY_CACHEDIR": str(folder / "cache"), "LITELLM_LOCAL_MODEL_COST_MAP": "true"}
    arguments = [PROGRAM, str(folder), name, json.dumps(ROWS[name].arguments), engine.url, engine.model]
    arguments += [proposer.url, MODEL, f"--seed={seed}"]
    return dict(json.loads(process(["benchmarks.rivals.stock_optimizer", *arguments], folder, surroundings)))


def answered(engine: Engine) -> int:
    """Requests that the engine has answered so far, by its own count."""
    with urllib.request.urlopen(f"{engine.url}/metrics", timeout=10) as reply:
        return count_answered(reply.read().decode())


def count_answered(metrics: str) -> int:
    """The sum of vLLM's counters of finished requests."""
    counted = re.findall(r"^vllm:request_success_total\{[^}]*\} ([\d.e+]+)$", metrics, re.MULTILINE)
    if not counted:
        raise BenchmarkFailed("the engine counts no requests: this benchmark needs vLLM")
    return round(sum(map(float, counted)))


def summarise(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    """Means of both sides, ours as a share of DSPy's, and whether the goal is reached."""
    kind = ROWS[name].kind
    sides: dict[str, dict[str, float]] = {
        side: {
            value: fmean(getattr(run, value) for run in runs if (run.optimizer, run.side) == (name, side))
            for value in ("seconds", "calls", "whole", "proposals", "before", "after")
        }
        for side in SIDES
    }
    ours, stock = (sides[side] for side in SIDES)
    if stock["calls"] == ours["calls"] == 0:  # nothing is asked, so there is no time to compare
        return {"kind": kind, "goal": GOALS[kind], **sides, "ratio": None, "reached": True}
    ratio = {value: ours[value] / stock[value] for value in ("seconds", "calls", "whole")}
    reached = ratio["seconds"] <= GOALS[kind] and (kind == "own" or ratio["calls"] <= 1)
    return {"kind": kind, "goal": GOALS[kind], **sides, "ratio": ratio, "reached": reached}


def table(report: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        "ours/DSPy's                       kind    search s     search calls  test score   of the time, calls"
    ]
    for name, row in report.items():
        ours, stock = (row[side] for side in SIDES)
        lines.append(
            f"{name:<33} {row['kind']:<7} {ours['seconds']:5.1f}/{stock['seconds']:5.1f} "
            f"{ours['calls']:7.0f}/{stock['calls']:5.0f}   {ours['after']:.3f}/{stock['after']:.3f}"
            f"   {verdict(row)} (whole: {ours['whole']:.1f}/{stock['whole']:.1f} s)"
        )
    return "\n".join(lines)


def verdict(row: Mapping[str, Any]) -> str:
    if row["ratio"] is None:
        return "asks no model: nothing to compare"
    said = "reached" if row["reached"] else "missed"
    ratio = row["ratio"]
    calls = "" if row["kind"] == "own" else ", no more calls"
    return f"{ratio['seconds']:5.2f}x {ratio['calls']:5.2f}x {said}: at most {row['goal']:g}x{calls}"


def _write(engine: Engine, seeds: int, runs: Sequence[Run], report: Mapping[str, Mapping[str, Any]]) -> Path:
    now = datetime.now(UTC)
    path = ROOT / "benchmarks" / "results" / f"{now:%Y-%m-%d}-optimizers.json"
    # A run of some rows replaces those of the same day.
    earlier = json.loads(path.read_text()) if path.exists() else {"rows": {}}
    rows = {
        name: {
            "at": now.isoformat(timespec="seconds"),
            "load_average": list(os.getloadavg()),
            "seeds": seeds,
            "arguments": ROWS[name].arguments,
            **row,
            "runs": [asdict(run) for run in runs if run.optimizer == name],
        }
        for name, row in report.items()
    }
    result = {
        "program": PROGRAM,
        "examples": dict(SIZES),
        "model": engine.model,
        "machine": machine(),
        "rows": {**earlier["rows"], **rows},
    }
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path.relative_to(ROOT)


if __name__ == "__main__":
    main()
