"""What tests of builds share: a disk that fills up, a ready MLflow database, builds that are done."""

from __future__ import annotations

import asyncio
import resource
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from compiler.build import build
from compiler.events import Event, Finished
from compiler.request import Cast
from compiler.tracking.mlflow_store import Store, address_of, open_store
from tests.compiler.scripted import Adder, Bound, program, request

SMALL = 256 * 1024  # bytes


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 256 KiB; writing more fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs: making one takes seconds, copying it none."""
    folder = tmp_path_factory.mktemp("mlflow")
    open_store(address_of(None, folder))
    return folder / "mlflow.db"


class Builds(NamedTuple):
    """Two real builds of `sums`: the events of each, and the folder with their releases."""

    folder: Path
    plain: list[Event]
    """Became the champion, without a gain."""
    worked: list[Event]
    """Became the candidate; its demonstrations show how."""

    @property
    def releases(self) -> Path:
        return self.folder / "releases"


@pytest.fixture(scope="session")
def session_builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    folder = tmp_path_factory.mktemp("builds")

    async def events(optimizer: str) -> list[Event]:
        asked = request(folder, program(), optimizer=optimizer)
        return [event async for event in build(asked, Cast(Bound(Adder())))]

    return Builds(folder, asyncio.run(events("none")), asyncio.run(events("BootstrapFewShot")))


@pytest.fixture
def builds(session_builds: Builds, tmp_path: Path) -> Builds:
    """A copy of them, that a test may change."""
    shutil.copytree(session_builds.releases, tmp_path / "releases")

    def moved(events: list[Event]) -> list[Event]:
        *before, last = events
        assert isinstance(last, Finished)
        home = tmp_path / "releases" / "sums" / last.result.version
        return [*before, Finished(replace(last.result, path=home))]

    return Builds(tmp_path, moved(session_builds.plain), moved(session_builds.worked))


@pytest.fixture
def store(tmp_path: Path, mlflow_database: Path) -> Store:
    """An MLflow store of its own, in the state folder."""
    state = tmp_path / ".smallforge"
    state.mkdir()
    shutil.copy(mlflow_database, state)
    return open_store(address_of(None, state))
