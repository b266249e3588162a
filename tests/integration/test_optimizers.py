"""Every optimiser on a real engine, with a proposer that is a real server and writes what it is asked for."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.compiler.proposer import NAME, Proposer
from tests.compiler.served import Server, serving
from tests.integration.conftest import House, furnish

MOST_CALLS = 60  # of the student, by one optimiser

SMALL: Mapping[str, Mapping[str, object]] = {
    "LabeledFewShot": {"k": 4},
    "BootstrapFewShot": {"max_bootstrapped_demos": 2},
    "BootstrapFewShotWithRandomSearch": {"num_candidate_programs": 1, "max_bootstrapped_demos": 1},
    "COPRO": {"breadth": 3, "depth": 2},
    "MIPROv2": {"num_candidates": 3, "num_trials": 3, "max_bootstrapped_demos": 1, "max_labeled_demos": 1},
    "SIMBA": {"bsize": 4, "num_candidates": 2, "max_steps": 1},
    "GEPA": {"max_metric_calls": 40},
    "BetterTogether": {
        "strategy": "c -> g",
        "arguments": {"c": {"breadth": 2, "depth": 1}, "g": {"max_metric_calls": 20}},
    },
    "auto": {},
}
PROPOSING = ("COPRO", "MIPROv2", "SIMBA", "GEPA", "BetterTogether")
NOISE = ("Bootstrapp", "it/s]", "Average Metric", "Trial", "rollouts", "dspy", "optuna", "Processed ")


@pytest.fixture(scope="module")
def proposer() -> Iterator[Server]:
    with serving(Proposer("Solve the word problem one event at a time, then give the number.")) as server:
        server.name = NAME
        yield server


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Files of a few word problems as the flags that name them: 12 to train, 8 to select, 10 to measure."""
    folder, rng = tmp_path_factory.mktemp("rows"), random.Random(7)
    flags = []
    for flag, size in (("data", 12), ("dev", 8), ("test", 10)):
        lines = []
        for _ in range(size):
            count, more, less = rng.randint(9, 20), rng.randint(1, 12), rng.randint(1, 8)
            goods = rng.choice(("apples", "books", "coins", "shells"))
            question = (
                f"Anna has {count} {goods}. She buys {more} more. She loses {less}. The number doubles. "
                f"How many {goods} does Anna have now?"
            )
            answer = 2 * (count + more - less)
            lines.append(json.dumps({"question": question, "answer": answer}))
        path = folder / f"{flag}.jsonl"
        path.write_text("\n".join(lines) + "\n")
        flags.append(f"--{flag}={path}")
    return flags


@pytest.mark.parametrize("name", SMALL)
def test_an_optimiser_builds_an_intact_release_within_its_calls(
    name: str, engine_url: str, proposer: Server, rows: list[str], tmp_path: Path
) -> None:
    house = furnish(tmp_path, engine_url)
    settings = [f"--set={key}={json.dumps(value)}" for key, value in SMALL[name].items()]
    shown = house.run(
        "compiler", "build", "arithmetic", *rows, "--optimizer", name, *settings,
        "--proposer", proposer.url, "--mlflow-uri", "off", "--max-calls", "140",
    )  # fmt: skip
    house.run("compiler", "verify", "arithmetic")
    build = evidence(house)
    assert build["optimizer"]["asked"] == name
    assert sum(it["calls"] for it in in_search(build, "student")) <= MOST_CALLS
    assert [word for word in NOISE if word in shown] == []
    if name in PROPOSING:
        assert f"Instructions proposed by {NAME}." in shown
        assert build["optimizer"]["proposer"] == NAME
        assert build["asked"]["proposer"]["model"] == NAME
        assert [candidate["name"].split()[0] for candidate in build["candidates"] if candidate["n"]]
    if name in PROPOSING and name != "SIMBA":  # which only asks where sampled answers differ
        assert sum(it["calls"] for it in in_search(build, "proposer")) > 0


def test_a_step_that_trains_weights_is_refused_before_anything_is_asked(
    house: House, rows: list[str]
) -> None:
    shown = house.run(
        "compiler", "build", "arithmetic", *rows, "--optimizer", "bettertogether",
        "--set", "strategy=p -> w", code=2,
    )  # fmt: skip
    assert "no trainer is installed" in shown and "Traceback" not in shown


def evidence(house: House) -> dict[str, Any]:
    version = house.alias("arithmetic", "champion")
    (folder,) = (house.folder / "releases" / "arithmetic" / version / "evidence").iterdir()
    return dict(json.loads((folder / "build.json").read_text()))


def in_search(build: Mapping[str, Any], role: str) -> list[Mapping[str, Any]]:
    return [it for it in build["spent"]["phases"] if it["phase"] == "optimise" and it["role"] == role]
