"""How long a build takes beside DSPy's own search: wall time, model calls, tokens, and the scores reached.

Both sides get the same engine, examples, optimiser, candidates, temperature and token limit, and 16 requests
at once. Ours is `compiler build`; the other is DSPy as its user runs it, its cache on in an empty folder.
Each run is a process of its own and its whole wall time counts. Runs alternate ours, stock, stock, ours, so
that a machine that changes its pace favours nobody; each pair has its own order of the training examples.

    engine serve &
    python -m benchmarks.build                       three timed pairs and two more for the scores
    python -m benchmarks.build order_entry --pairs 1 --seeds 1 --no-result
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from compiler.evaluation.statistics import paired_test
from engine.client import EngineClient
from engine.errors import EngineError
from programs.loading import load_program
from programs.program import SPLITS, Program, Split

ROOT = Path(__file__).parent.parent
DEFAULT_PROGRAM = "arithmetic"
GOAL = 0.6  # of DSPy's wall time, at an equal or better score
Side = Literal["ours", "stock"]
SIDES: tuple[Side, Side] = ("ours", "stock")


class BenchmarkFailed(Exception):
    """One sentence for the person who runs it."""


@dataclass(frozen=True)
class Run:
    """One build; `seconds` is the wall time of its whole process, calls are those the engine answered."""

    side: Side
    seed: int
    timed: bool
    seconds: float
    calls: int
    prompt_tokens: int
    completion_tokens: int
    before: float
    after: float


@dataclass(frozen=True)
class Engine:
    url: str
    model: str


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", nargs="?", default=DEFAULT_PROGRAM)
    parser.add_argument("--url", default="http://127.0.0.1:8100", help="an OpenAI-compatible server")
    parser.add_argument("--pairs", type=int, default=3, help="pairs of builds whose time counts")
    parser.add_argument("--seeds", type=int, default=5, help="orders of the examples whose scores count")
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--no-result", action="store_true", help="print only, write no file")
    asked = parser.parse_args()
    try:
        engine = asyncio.run(find_engine(asked.url))
        program = load_program(asked.program)
        runs: list[Run] = []
        for side, seed in schedule(max(asked.pairs, asked.seeds)):
            run = _run(side, program, engine, seed, asked)
            runs.append(run)
            print(
                f"{side:>6} seed {seed}: {run.seconds:7.1f} s  {run.calls:5} calls  {run.after:.3f}",
                flush=True,
            )
    except BenchmarkFailed as error:
        sys.exit(str(error))
    report = summarise(runs)
    print(table(program.name, runs, report))
    if not asked.no_result:
        print(f"written to {_write(program.name, engine, runs, report)}")


def schedule(pairs: int) -> list[tuple[Side, int]]:
    """Ours first in even pairs, stock first in odd ones."""
    return [(side, seed) for seed in range(pairs) for side in (SIDES if seed % 2 == 0 else SIDES[::-1])]


def _run(side: Side, program: Program, engine: Engine, seed: int, asked: argparse.Namespace) -> Run:
    with tempfile.TemporaryDirectory(prefix="smallforge-bench-") as name:
        folder = Path(name)
        write_examples(program, seed, folder)
        begun = time.monotonic()
        told = (
            _ours(program, engine, folder, asked)
            if side == "ours"
            else _stock(program, engine, folder, asked)
        )
        seconds = time.monotonic() - begun
    return Run(side, seed, seed < asked.pairs, round(seconds, 2), **told)


def write_examples(
    program: Program, seed: int, folder: Path, sizes: Mapping[Split, int] | None = None
) -> None:
    """The program's own examples as files, the training rows in the seed's order; at most `sizes` of them."""
    for split in SPLITS:
        rows = [dict(example.items()) for example in program.examples(split)]
        if split == "train":
            random.Random(seed).shuffle(rows)
        rows = rows if sizes is None else rows[: sizes[split]]
        for row in rows:
            if program.chat.history in row:
                row[program.chat.history] = list(row[program.chat.history].messages)
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _ours(program: Program, engine: Engine, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    rows = [
        f"--{name}={folder / split}.jsonl"
        for name, split in zip(("data", "dev", "test"), SPLITS, strict=True)
    ]
    arguments = ["build", write_program(asked.program, folder), *rows, "--student", engine.url]
    arguments += ["--mlflow-uri", "off"]
    arguments += ["--set", f"num_candidate_programs={asked.candidates}"]
    process(["compiler", *arguments], folder, {})
    evidence = json.loads(next((folder / "releases").glob("*/*/evidence/*/build.json")).read_text())
    spent, scores = evidence["spent"], evidence["scores"]
    return {
        "calls": spent["calls"],
        "prompt_tokens": spent["prompt_tokens"],
        "completion_tokens": spent["completion_tokens"],
        "before": scores["before"]["mean"],
        "after": scores["after"]["mean"],
    }


def _stock(program: Program, engine: Engine, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    # Without the second variable DSPy looks prices up on the network, which would be held against it here.
    empty = {"DSPY_CACHEDIR": str(folder / "cache"), "LITELLM_LOCAL_MODEL_COST_MAP": "true"}
    arguments = [asked.program, str(folder), engine.url, engine.model, f"--candidates={asked.candidates}"]
    return dict(json.loads(process(["benchmarks.rivals.stock_build", *arguments], folder, empty)))


def write_program(name: str, folder: Path) -> str:
    """The program in a file of its own, without examples to measure that the other side does not measure."""
    path = folder / "program.py"
    path.write_text(
        "from dataclasses import replace\n\nfrom programs.loading import load_program\n\n"
        f"program = replace(load_program({name!r}), handpicked=None)\n"
    )
    return str(path)


def process(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    """What a Python module prints, run in a folder where no configuration lies."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkFailed(f"{command[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def summarise(runs: Sequence[Run]) -> dict[str, Any]:
    """Means of both sides, ours as a share of theirs, and the difference of the scores with its interval."""
    sides: dict[str, dict[str, float]] = {}
    for side in SIDES:
        timed = [run for run in runs if run.side == side and run.timed]
        every = [run for run in runs if run.side == side]
        means = {
            name: fmean(getattr(run, name) for run in timed)
            for name in ("seconds", "calls", "prompt_tokens", "completion_tokens")
        }
        scores = {name: fmean(getattr(run, name) for run in every) for name in ("before", "after")}
        sides[side] = means | scores
    after = {(run.side, run.seed): run.after for run in runs}
    seeds = sorted({run.seed for run in runs})
    # Rounded, for a sum in another order is no difference.
    ours, stock = ([round(after[side, seed], 9) for seed in seeds] for side in SIDES)
    paired = paired_test(stock, ours)
    return {
        **sides,
        "ratio": {name: sides["ours"][name] / sides["stock"][name] for name in ("seconds", "calls")},
        "score_difference": {
            "mean": paired.difference,
            "low": paired.low,
            "high": paired.high,
            "seeds": paired.n,
        },
    }


def table(program: str, runs: Sequence[Run], report: Mapping[str, Any]) -> str:
    pairs, seeds = sum(run.timed for run in runs) // 2, report["score_difference"]["seeds"]
    lines = [
        f"{program}: seconds, calls and tokens are means of {pairs} pairs, scores of {seeds} seeds",
        "          seconds   calls  prompt tok.  reply tok.  before   after",
    ]
    for side in SIDES:
        row = report[side]
        lines.append(
            f"{side:>6} {row['seconds']:9.1f} {row['calls']:7.0f} {row['prompt_tokens']:12.0f} "
            f"{row['completion_tokens']:11.0f} {row['before']:7.3f} {row['after']:7.3f}"
        )
    ratio, scores = report["ratio"], report["score_difference"]
    verdict = "reached" if ratio["seconds"] <= GOAL and scores["high"] >= 0 else "missed"
    lines.append(f"ours / stock: {ratio['seconds']:.2f}x the wall time, {ratio['calls']:.2f}x the calls")
    lines.append(
        f"score, ours less stock: {scores['mean']:+.3f} ({scores['low']:+.3f} to {scores['high']:+.3f})"
    )
    lines.append(f"goal of {GOAL}x at an equal or better score: {verdict}")
    return "\n".join(lines)


async def find_engine(url: str) -> Engine:
    async with EngineClient(url, "") as client:
        try:
            cards = await client.models()
        except EngineError as error:
            raise BenchmarkFailed(
                f"no engine answers at {url!r}: {error}; start one: engine serve"
            ) from error
    return Engine(url.rstrip("/").removesuffix("/v1"), cards[0].id)


def _write(program: str, engine: Engine, runs: Sequence[Run], report: Mapping[str, Any]) -> Path:
    now = datetime.now(UTC)
    result = {
        "at": now.isoformat(timespec="seconds"),
        "program": program,
        "model": engine.model,
        "machine": machine(),
        "report": report,
        "runs": [asdict(run) for run in runs],
    }
    name = "build" if program == DEFAULT_PROGRAM else f"build-{program}"
    path = ROOT / "benchmarks" / "results" / f"{now:%Y-%m-%d}-{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path.relative_to(ROOT)


def machine() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        cpu = names[0] if names else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load_average": list(os.getloadavg()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "dspy": version("dspy"),
    }


if __name__ == "__main__":
    main()
