"""Fifty times `kill -9` on `compiler build`, anywhere: each build ends as if it had never been disturbed.

What happened is written to resume.json in pytest's folder, in the form of benchmarks/results.
"""

from __future__ import annotations

import os
import platform
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from tests.compiler.interrupted import Building, kill_and_resume, undisturbed
from tests.compiler.scripted import Adder
from tests.compiler.served import Server, serving

BUILDS = 20


@dataclass(frozen=True)
class Outcome:
    """One build: how often it was killed, and how many calls it took in all."""

    seed: int
    kills: int
    calls: int
    same_version: bool
    seconds: float


@dataclass(frozen=True)
class Trial:
    adder: Adder
    server: Server
    version: str
    calls: int
    outcomes: list[Outcome]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    adder = Adder(pause=0.005)
    with serving(adder) as served:
        version, calls = undisturbed(tmp_path_factory.mktemp("undisturbed"), served, adder)
        trial = Trial(adder, served, version, calls, [])
        yield trial
    kills = sum(outcome.kills for outcome in trial.outcomes)
    told = {
        "benchmark": "resume",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "what": "kill -9 of `compiler build` at random points, then --resume; a scripted model over HTTP",
        "version": version,
        "undisturbed_calls": calls,
        "kills": kills,
        "same_version": sum(outcome.same_version for outcome in trial.outcomes),
        "builds": [asdict(outcome) for outcome in trial.outcomes],
    }
    path = tmp_path_factory.getbasetemp() / "resume.json"
    path.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))


@pytest.mark.parametrize("seed", range(BUILDS))
def test_a_build_that_is_killed_again_and_again_releases_the_same_version(
    tmp_path: Path, trial: Trial, seed: int
) -> None:
    begun, before = time.monotonic(), trial.adder.calls
    building, rng = Building(tmp_path, trial.server.url), random.Random(1000 + seed)
    version, kills = kill_and_resume(building, trial.adder, rng, trial.calls, most=3)
    seconds, taken = time.monotonic() - begun, trial.adder.calls - before
    trial.outcomes.append(Outcome(seed, kills, taken, version == trial.version, round(seconds, 1)))
    assert version == trial.version
