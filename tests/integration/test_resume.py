"""Builds that are killed, starved and lied to, as real processes over real HTTP; no engine is needed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compiler.interrupted import Building, kill_and_resume, undisturbed
from tests.compiler.scripted import Adder
from tests.compiler.served import Server, serving


@pytest.fixture(scope="module")
def adder() -> Adder:
    return Adder(pause=0.005)


@pytest.fixture(scope="module")
def server(adder: Adder) -> Iterator[Server]:
    with serving(adder) as served:
        yield served


@pytest.fixture(scope="module")
def whole(adder: Adder, server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int]:
    return undisturbed(tmp_path_factory.mktemp("undisturbed"), server, adder)


@pytest.mark.parametrize("seed", range(5))
def test_a_build_that_is_killed_anywhere_ends_as_if_it_had_not_been(
    tmp_path: Path, adder: Adder, server: Server, whole: tuple[str, int], seed: int
) -> None:
    version, calls = whole
    building = Building(tmp_path, server.url)
    assert kill_and_resume(building, adder, random.Random(seed), calls, kills=1) == version


def test_a_build_outlives_its_ledger_being_damaged(
    tmp_path: Path, adder: Adder, server: Server, whole: tuple[str, int]
) -> None:
    building, rng = Building(tmp_path, server.url), random.Random(3)
    process = building.start()
    before = adder.calls
    while process.poll() is None and adder.calls - before < whole[1] // 2:
        pass
    process.kill()
    process.wait()
    assert building.build_id is not None
    ledger = tmp_path / ".smallforge" / "builds" / building.build_id / "calls.sqlite"
    for file in (ledger, ledger.with_name("calls.sqlite-wal")):
        if file.exists() and file.stat().st_size:
            data = bytearray(file.read_bytes())
            for _ in range(20):
                data[rng.randrange(len(data))] ^= 255
            file.write_bytes(data)
    assert building.run() == whole[0]


def test_two_builds_of_one_program_at_once_do_not_disturb_each_other(
    tmp_path: Path, server: Server, whole: tuple[str, int]
) -> None:
    building = Building(tmp_path, server.url)
    processes = [building.start() for _ in range(2)]
    log = tmp_path / "log"
    assert [process.wait(120) for process in processes] == [0, 0], log.read_text()[-3000:]
    building.check_releases()
    assert building.champion() == whole[0]
