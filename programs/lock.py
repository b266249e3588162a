"""A lock between processes: a file that one of them holds, freed by the system however its holder ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(path: Path, wait: bool = True) -> Iterator[None]:
    """Holds the lock until the block ends; the empty file stays, since another may be waiting for it.

    Raises:
        BlockingIOError: another process holds it and `wait` is False.
        OSError: the file can't be made.
    """
    # Of the user alone: a lock that others can take is one that they can keep.
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(file)
