"""What tests of builds share: a disk that fills up, an MLflow database that is ready."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.tracking import Tracked, open_tracking

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
    open_tracking(None, folder, Tracked("first"), print)
    return folder / "mlflow.db"
