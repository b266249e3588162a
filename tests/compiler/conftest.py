"""A disk that fills up: the operating system's own limit on file sizes, for one test."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

SMALL = 256 * 1024  # bytes


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 256 KiB; writing more fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
