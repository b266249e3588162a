"""One build of ours in this process, as `compiler build` does it; prints one JSON object.

Run by `benchmarks.build_optimizers`; tells beside the scores how long the search alone took.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from compiler.build import build
from compiler.events import BuildResult, Finished, StageStarted
from compiler.request import BuildRequest, Cast, DataPaths
from engine.local import open_student
from engine.settings import read_settings
from programs.loading import load_program


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("folder", type=Path)
    parser.add_argument("optimizer")
    parser.add_argument("arguments", type=json.loads)
    parser.add_argument("student")
    parser.add_argument("proposer")
    parser.add_argument("--seed", type=int, default=0)
    print(json.dumps(asyncio.run(_build(parser.parse_args()))))


async def _build(asked: argparse.Namespace) -> dict[str, Any]:
    folder: Path = asked.folder
    request = BuildRequest(
        program=load_program(asked.program),
        data=DataPaths(*(folder / f"{split}.jsonl" for split in ("train", "dev", "test"))),
        optimizer=asked.optimizer,
        arguments=asked.arguments,
        seed=asked.seed,
        releases=folder / "releases",
        state=folder / ".smallforge",
    )
    begun: dict[str, float] = {}
    result: BuildResult | None = None
    async with _open(asked.student) as student, _open(asked.proposer) as proposer:
        async for event in build(request, Cast(student, proposer=proposer)):
            if isinstance(event, StageStarted):
                begun.setdefault(event.stage, time.monotonic())
            elif isinstance(event, Finished):
                result = event.result
    assert result is not None
    searching = [part.calls for part in result.spent.phases if part.phase == "optimise"]
    proposing = [p.calls for p in result.spent.phases if (p.phase, p.role) == ("optimise", "proposer")]
    return {
        "before": result.baseline.mean,
        "after": result.compiled.mean,
        "search_seconds": begun["lower"] - begun["optimise"],
        "search_calls": sum(searching) - sum(proposing),
    }


def _open(url: str) -> Any:
    return open_student(
        read_settings(None, {"student": url}), None, lambda line: print(line, file=sys.stderr)
    )


if __name__ == "__main__":
    main()
