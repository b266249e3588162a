"""What tracking costs a build: the wall time of the same build with MLflow off and on, by turns.

The student is a scripted server that answers after 20 ms, as a small model on a GPU does, so that the build
is bound by neither a slow model nor a free one. Each run is a process of its own in a folder of its own and
its whole wall time counts, the wait for the last write included. The database is there, as it is in every
folder after its first tracked build. Runs alternate off, on, on, off, so that a machine that changes its pace
favours nobody.

    python -m benchmarks.tracking                    eight pairs
    python -m benchmarks.tracking --pairs 1 --no-result
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, median
from typing import Any, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.build import machine
from benchmarks.surroundings import BenchmarkFailed, free_port, process, wait_for
from compiler.tracking.mlflow_store import Address, open_store

ROOT = Path(__file__).parent.parent
GOAL = 1.03  # of the wall time without tracking
LATENCY = 0.020  # seconds
Side = Literal["off", "on"]
PROGRAM = """
import dspy
from smallforge import Chat, Program, Sampling, exact_match

SIZES = {"train": (0, 100), "dev": (1000, 300), "test": (2000, 2500)}


def make_module():
    return dspy.ChainOfThought("question -> answer")


def examples(split):
    first, count = SIZES[split]
    pairs = [(n, n // 2) for n in range(first, first + count)]
    return [
        dspy.Example(question=f"What is {a} + {b}?", answer=str(a + b)).with_inputs("question")
        for a, b in pairs
    ]


program = Program(
    "sums", make_module, examples, exact_match("answer"),
    Chat(user="question", answer="answer", reasoning=("reasoning",)), Sampling(max_tokens=64),
)
"""


@dataclass(frozen=True)
class Run:
    """One build; `seconds` is the wall time of its whole process."""

    side: Side
    pair: int
    seconds: float
    calls: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--no-result", action="store_true", help="print only, write no file")
    parser.add_argument("--serve", type=int, metavar="PORT", help="be the student instead")
    asked = parser.parse_args()
    if asked.serve:
        uvicorn.run(student(), host="127.0.0.1", port=asked.serve, log_level="warning")
        return
    try:
        runs = measure(asked.pairs)
    except BenchmarkFailed as error:
        sys.exit(str(error))
    report = summarise(runs)
    print(table(report))
    if not asked.no_result:
        print(f"written to {_write(runs, report)}")


def student() -> Starlette:
    """OpenAI's protocol over an adder that gets odd sums right only where it is shown how."""

    async def complete(request: Request) -> Response:
        messages = (await request.json())["messages"]
        await asyncio.sleep(LATENCY)
        text = answer(messages)
        prompt = sum(len(message["content"]) for message in messages) // 4
        usage = {"prompt_tokens": prompt, "completion_tokens": 20, "total_tokens": prompt + 20}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        head = {"id": "c", "object": "chat.completion", "created": 1, "model": "adder"}
        return JSONResponse({**head, "choices": [choice], "usage": usage})

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "adder", "object": "model", "created": 1}]})

    routes = [Route("/v1/models", models), Route("/v1/chat/completions", complete, methods=["POST"])]
    return Starlette(routes=routes)


def answer(messages: Sequence[Mapping[str, Any]]) -> str:
    asked = re.findall(r"(\d+) \+ (\d+)", messages[-1]["content"])
    if not asked:
        return "hello"
    a, b = (int(number) for number in asked[-1])
    shown = any("make" in message["content"] for message in messages if message["role"] == "assistant")
    total = a + b + (0 if shown else (a + b) % 2)
    steps = f"[[ ## reasoning ## ]]\n{a} and {b} make {total}\n\n"
    return f"{steps}[[ ## answer ## ]]\n{total}\n\n[[ ## completed ## ]]"


def schedule(pairs: int) -> list[tuple[Side, int]]:
    """Off first in even pairs, on first in odd ones."""
    sides: tuple[Side, Side] = ("off", "on")
    return [(side, pair) for pair in range(pairs) for side in (sides if pair % 2 == 0 else sides[::-1])]


def measure(pairs: int) -> list[Run]:
    """All runs; one build before them warms the machine and counts for nothing."""
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="smallforge-bench-") as name:
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.tracking", "--serve", str(port)]
        with process(command, os.environ, Path(name) / "student.log", ROOT) as serving:
            wait_for(f"http://127.0.0.1:{port}/v1/models", 30, serving, Path(name) / "student.log")
            database = Path(name) / "mlflow.db"
            open_store(Address(f"sqlite:///{database}"))
            _build("on", 0, port, database)
            for side, pair in schedule(pairs):
                runs.append(_build(side, pair, port, database))
                print(f"{side:>4} {runs[-1].seconds:7.2f} s  {runs[-1].calls} calls", flush=True)
    return runs


def _build(side: Side, pair: int, port: int, database: Path) -> Run:
    with tempfile.TemporaryDirectory(prefix="smallforge-bench-") as name:
        folder = Path(name)
        (folder / "sums.py").write_text(PROGRAM)
        if side == "on":
            (folder / ".smallforge").mkdir()
            shutil.copy(database, folder / ".smallforge")
        command = [sys.executable, "-m", "compiler", "build", "./sums.py"]
        command += ["--student", f"http://127.0.0.1:{port}", "--set", "num_candidate_programs=8"]
        command += ["--mlflow-uri", "off"] if side == "off" else []
        surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
        surroundings.pop("MLFLOW_TRACKING_URI", None)
        begun = time.monotonic()
        done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True)
        seconds = time.monotonic() - begun
        if done.returncode or "MLflow" in done.stderr:
            raise BenchmarkFailed(f"a build ended with {done.returncode}:\n{done.stderr[-2000:]}")
        if (side == "on") != (folder / ".smallforge" / "mlartifacts").exists():
            raise BenchmarkFailed(f"a build with tracking {side} did not do so")
        evidence = json.loads(next(folder.glob("releases/*/*/evidence/*/build.json")).read_text())
    return Run(side, pair, round(seconds, 2), evidence["spent"]["calls"])


def summarise(runs: Sequence[Run]) -> dict[str, Any]:
    """Seconds of both sides; the ratio is the median over the pairs, whose runs lie next to each other."""
    seconds = {(run.side, run.pair): run.seconds for run in runs}
    pairs = sorted({run.pair for run in runs})
    ratios = [seconds["on", pair] / seconds["off", pair] for pair in pairs]
    return {
        "pairs": len(pairs),
        "calls": fmean(run.calls for run in runs),
        "off": {"median": median(seconds["off", pair] for pair in pairs)},
        "on": {"median": median(seconds["on", pair] for pair in pairs)},
        "ratio": {"median": median(ratios), "each": ratios},
    }


def table(report: Mapping[str, Any]) -> str:
    ratio = report["ratio"]["median"]
    lines = [f"{report['pairs']} pairs of builds with {report['calls']:.0f} calls, medians"]
    lines += [f"tracking {side:>3} {report[side]['median']:8.2f} s" for side in ("off", "on")]
    lines.append(f"on / off: {ratio:.3f}x the wall time")
    lines.append(f"goal of {GOAL}x: {'reached' if ratio <= GOAL else 'missed'}")
    return "\n".join(lines)


def _write(runs: Sequence[Run], report: Mapping[str, Any]) -> Path:
    now = datetime.now(UTC)
    result = {
        "at": now.isoformat(timespec="seconds"),
        "latency_seconds": LATENCY,
        "machine": {**machine(), "mlflow": version("mlflow-skinny")},
        "report": report,
        "runs": [asdict(run) for run in runs],
    }
    path = ROOT / "benchmarks" / "results" / f"{now:%Y-%m-%d}-tracking.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path.relative_to(ROOT)


if __name__ == "__main__":
    main()
