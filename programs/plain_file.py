"""Files that strangers may have put there, read without trust: no link, no device, nothing without an end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from programs.errors import ReleaseInvalid

# Not through a link, and without waiting for whoever might write into a pipe; Windows knows neither.
_WITHOUT_TRUST = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def read_plain_file(path: Path, largest: int) -> bytes:
    """The bytes of a file that is neither a link nor anything but a file, and has `largest` of them at most.

    Raises:
        FileNotFoundError, ReleaseInvalid
    """
    try:
        handle = os.open(path, _WITHOUT_TRUST | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ReleaseInvalid(f"{str(path)!r} is no plain file: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ReleaseInvalid(f"{str(path)!r} is no plain file")
        with open(handle, "rb", closefd=False) as file:
            data = file.read(largest + 1)
    finally:
        os.close(handle)
    if len(data) > largest:
        raise ReleaseInvalid(f"{str(path)!r} is larger than {largest:,} bytes")
    return data
