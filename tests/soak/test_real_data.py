"""The named tasks on real data and the real engine: built, measured, served and asked, and told as it is.

Needs SMALLFORGE_DATA, a folder with the rows of all four. What came of each is written to the day's
benchmarks/results/<date>-real-data.json, beside the others; of large files the first rows are taken.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.build import ROOT, machine
from tests.integration.conftest import House, engine_url, furnish
from tests.integration.proving import ask, build, serving

__all__ = ["engine_url"]  # a fixture

FILES = {
    "gsm8k": "gsm8k/{}.jsonl",
    "hotpotqa": "hotpotqa/{}.jsonl",
    "hotpotqa_retrieval": "hotpotqa/{}.jsonl",
    "scripture_qa": "scripture/qa_{}.jsonl",
    "teaching": "teaching/{}.jsonl",
}
MOST = {"train": 600, "dev": 100, "test": 200}  # rows; without a test file a quarter of train is cut off
REQUESTS = 20
HOW = (
    "--optimizer",
    "BootstrapFewShotWithRandomSearch",
    "--set",
    "num_candidate_programs=2",
    "--concurrency=32",
)
REFUSED = {"program_output_invalid", "context_length_exceeded"}


@dataclass
class Trial:
    """A house whose data folder holds the first real rows."""

    house: House
    data: Path

    @property
    def surroundings(self) -> dict[str, str]:
        return {"SMALLFORGE_DATA": str(self.data)}


@pytest.fixture(scope="module")
def trial(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    named = os.environ.get("SMALLFORGE_DATA")
    if not named:
        pytest.fail(
            "set SMALLFORGE_DATA to a folder with the rows of gsm8k, hotpotqa, scripture and teaching"
        )
    house = furnish(tmp_path_factory.mktemp("real"), engine_url)
    trial = Trial(house, house.folder / "data")
    for task in FILES:
        take(Path(named), trial.data, task)
    for table in Path(named, "scripture").glob("*.tsv*"):
        (trial.data / "scripture" / table.name).symlink_to(table.resolve())
    return trial


def take(source: Path, into: Path, task: str) -> None:
    """The first rows of each file; one that is not there is not there in the copy either."""
    for split, most in MOST.items():
        path = source / FILES[task].format(split)
        if path.is_file():
            copy = into / FILES[task].format(split)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:most]))


def write(found: dict[str, Any]) -> None:
    """Puts a task's finding among those of the day, in place of an earlier one of the same task."""
    now = datetime.now(UTC)
    path = ROOT / "benchmarks" / "results" / f"{now:%Y-%m-%d}-real-data.json"
    others = json.loads(path.read_text())["tasks"] if path.exists() else []
    tasks = [*(one for one in others if one["task"] != found["task"]), found]
    told = {
        "benchmark": "real data",
        "at": now.isoformat(timespec="seconds"),
        "machine": machine(),
        "what": "compiler build on real rows with the bundled student on vLLM, then gateway serve",
        "build": list(HOW),
        "tasks": sorted(tasks, key=lambda one: [*FILES].index(one["task"])),
    }
    path.write_text(json.dumps(told, indent=2) + "\n")


@pytest.mark.parametrize("task", FILES)
def test_a_task_is_built_on_real_rows_and_served(
    trial: Trial, task: str, request: pytest.FixtureRequest
) -> None:
    begun = time.monotonic()
    built = build(trial.house, task, *HOW, surroundings=trial.surroundings)
    with serving(trial.house, trial.surroundings) as client:
        served = ask(client, task, built.inputs[:REQUESTS])
    evidence = built.evidence
    told = {
        "task": task,
        "rows": evidence["split"]["sizes"],
        "student": evidence["asked"]["student"],
        "lowered": evidence["lowering"]["lowered"],
        "contenders": {one["name"]: one["summary"] for one in evidence["contenders"]},
        "calls": evidence["spent"]["calls"],
        "seconds": round(evidence["seconds"], 1),
        "served": served.as_dict(),
        "whole_seconds": round(time.monotonic() - begun, 1),
    }
    screen = request.config.pluginmanager.get_plugin("terminalreporter")
    assert screen is not None
    screen.write_line(
        f"\n{built.shown[built.shown.index(f'{task}: ') :]}Served: {json.dumps(told['served'])}"
    )
    score = built.score()
    assert score["errors"] == score["refused"] == 0 and score["n"] == evidence["split"]["sizes"]["test"]
    assert len(served.seconds) == min(REQUESTS, score["n"]) and set(served.refusals) <= REFUSED
    assert "Traceback" not in (trial.house.folder / "gateway.log").read_text()
    write(told)
