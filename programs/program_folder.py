"""Small files that stand beside a program's releases and change while gateways read them.

Each is replaced whole, so a reader sees the old or the new, never half. Changes are made one after the other,
whichever process makes them, so that none is lost.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock

from programs.errors import ReleaseNotWritten


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """While no other process changes the file at `path`."""
    lock = path.with_name(f".{path.stem}.lock")
    with ExitStack() as holding:
        try:
            # Of the user alone: a lock that others can take is one that they can keep.
            holding.enter_context(FileLock(lock, mode=0o600))
        except OSError as error:
            raise ReleaseNotWritten(f"can't write {str(lock)!r}: {error.strerror}") from error
        yield


def replace_file(path: Path, text: str) -> None:
    """Puts the text in the file's place. Raises ReleaseNotWritten."""
    try:
        handle, draft = tempfile.mkstemp(prefix=f".{path.stem}-", dir=path.parent)
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except OSError as error:
        raise ReleaseNotWritten(f"can't write {str(path)!r}: {error.strerror}") from error
