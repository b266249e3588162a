"""Rows in their published forms on a real engine: read by folder and by path, built, served, asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from openai import OpenAI

from programs.scripture import SAMPLE as VERSES
from tests.integration.conftest import House, furnish
from tests.integration.proving import Built, ask, build, serving
from tests.programs.tasks.published_forms import PUBLISHED, SIZES, write_published

# The bundled student was trained for some of these forms only: what it says may not be readable.
UNREADABLE = {"program_output_invalid", "context_length_exceeded"}


@pytest.fixture(scope="module")
def house(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> House:
    house = furnish(tmp_path_factory.mktemp("published"), engine_url)
    write_published(house.folder / "data")
    return house


@pytest.fixture(scope="module")
def built(house: House) -> dict[str, Built]:
    """A build of every task on the rows of a folder, as SMALLFORGE_DATA names it."""
    named = {"SMALLFORGE_DATA": str(house.folder / "data"), "SMALLFORGE_TABLES": str(VERSES)}
    how = ("--optimizer", "LabeledFewShot", "--set", "k=1")
    return {task: build(house, task, *how, surroundings=named) for task in PUBLISHED}


@pytest.mark.parametrize("task", PUBLISHED)
def test_a_build_on_published_rows_runs_to_the_end(built: dict[str, Built], task: str) -> None:
    told = built[task].evidence
    assert told["split"]["sizes"] == SIZES and told["scores"]["after"]["n"] == SIZES["test"]
    assert told["scores"]["after"]["errors"] == 0 and told["candidate"]["demos"] == 1
    assert told["lowering"]["lowered"] == (task != "hotpotqa_retrieval")


def test_the_same_rows_by_path_make_the_same_release(house: House, built: dict[str, Built]) -> None:
    files = {"data": "train", "dev": "dev", "test": "test"}
    options = [f"--{name}={house.folder / 'data' / 'hotpotqa' / split}.json" for name, split in files.items()]
    by_path = build(house, "hotpotqa", *options, "--optimizer", "LabeledFewShot", "--set", "k=1").evidence
    assert by_path["split"]["fingerprints"] == built["hotpotqa"].evidence["split"]["fingerprints"]
    assert by_path["version"] == built["hotpotqa"].evidence["version"]


def test_every_release_is_served_and_asked(house: House, built: dict[str, Built]) -> None:
    named = {"SMALLFORGE_DATA": str(house.folder / "data"), "SMALLFORGE_TABLES": str(VERSES)}
    with serving(house, named) as client:
        assert isinstance(client, OpenAI)
        for task, found in built.items():
            served = ask(client, task, found.inputs[:4])
            assert set(served.refusals) <= UNREADABLE and len(served.seconds) == 4
            told = Path(house.folder / "gateway.log").read_text()
            assert "Traceback" not in told
