"""Builds that are killed, starved and lied to, as real processes over real HTTP; no engine is needed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from engine.chat import Reply
from engine.errors import EngineRateLimited, EngineServerError
from tests.compiler.interrupted import Building, kill_and_resume, undisturbed
from tests.compiler.scripted import Adder
from tests.compiler.served import Server, serving
from tests.integration.conftest import free_port, running

ROOT = Path(__file__).parents[2]


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
    survived = kill_and_resume(building, adder, random.Random(seed), calls, most=1)
    assert survived.version == version


def test_a_build_outlives_its_ledger_being_damaged(
    tmp_path: Path, adder: Adder, server: Server, whole: tuple[str, int]
) -> None:
    building, rng = Building(tmp_path, server.url), random.Random(3)
    process = building.start()
    before = adder.calls
    while process.poll() is None and adder.calls - before < whole[1] // 2:
        time.sleep(0.002)
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
    assert "could still be read and are kept" in (tmp_path / "log").read_text()


class Moody(Adder):
    """Asks to be left alone now and then, fails now and then, and sometimes takes its time."""

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        reply = await super().complete(messages, params)
        if self.calls % 20 == 7:
            raise EngineRateLimited("slower", retry_after=1.0)
        if self.calls % 20 == 13:
            raise EngineServerError("busy", status=503)
        await asyncio.sleep(1.0 if self.calls % 50 == 19 else 0.0)
        return reply


def test_a_moody_engine_slows_a_build_down_and_changes_nothing(
    tmp_path: Path, whole: tuple[str, int]
) -> None:
    with serving(Moody(pause=0.005)) as served:
        assert Building(tmp_path, served.url).run() == whole[0]


def test_a_build_waits_for_an_engine_that_is_started_again(tmp_path: Path, whole: tuple[str, int]) -> None:
    port = free_port()
    url, around = f"http://127.0.0.1:{port}", {"PYTHONPATH": str(ROOT)}
    serve = ["python", "-m", "tests.compiler.served", str(port)]
    with running(serve, tmp_path, f"{url}/v1/models", 60, around) as engine:
        building = Building(tmp_path / "build", url)
        process = building.start()
        while process.poll() is None and building.answered < whole[1] // 3:
            time.sleep(0.01)
        engine.kill()
        engine.wait()
    with running(serve, tmp_path, f"{url}/v1/models", 60, around):
        assert process.wait(120) == 0, building.log
    assert building.champion() == whole[0]


def test_two_builds_of_one_program_at_once_do_not_disturb_each_other(
    tmp_path: Path, server: Server, whole: tuple[str, int]
) -> None:
    building = Building(tmp_path, server.url)
    processes = [building.start() for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0], building.log
    building.check_releases()
    assert building.champion() == whole[0]
