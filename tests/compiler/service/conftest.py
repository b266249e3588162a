"""A console over builds that are only told of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.compiler.service.served import Told, furnish, serving


@pytest.fixture
def place() -> Told:
    return Told()


@pytest.fixture
def client(tmp_path: Path, place: Told) -> Iterator[httpx.Client]:
    with serving(tmp_path, furnish(tmp_path), place) as client:
        yield client
