"""Where builds run; by default in processes of this machine that outlive the server which started them."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Run:
    """One run of a job: the words after `compiler`, and the job's folder."""

    arguments: Sequence[str]
    folder: Path


class Place(Protocol):
    """Somewhere that builds run."""

    async def start(self, run: Run) -> str:
        """Starts it; gives the name by which this place knows it.

        Raises:
            OSError, PlaceUnavailable
        """
        ...

    async def alive(self, folder: Path, name: str | None) -> bool: ...
    async def interrupt(self, folder: Path, name: str | None) -> None: ...

    async def why_ended(self, folder: Path, name: str | None) -> str | None:
        """A sentence about a build that ended without one; None where this place knows none either."""
        ...


class ThisMachine:
    """Each build is a process in a session of its own, known by a lock that it holds until it ends.

    A process id alone would not do: by the time a server is started again another process may have it.
    """

    async def start(self, run: Run) -> str:
        command = [sys.executable, "-m", "compiler", *run.arguments]
        output = os.open(run.folder / "output.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        lock = os.open(_lock(run.folder), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            pid = os.posix_spawn(  # noqa: ASYNC221 - it waits for nothing but the new process's beginning
                sys.executable,
                command,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, nothing, 0),
                    (os.POSIX_SPAWN_DUP2, output, 1),
                    (os.POSIX_SPAWN_DUP2, output, 2),
                    (os.POSIX_SPAWN_DUP2, lock, _HELD),
                ],
                setsid=True,
                # A shell that starts the server in the background makes it deaf to Ctrl-C, its children too.
                setsigdef=[signal.SIGINT],
            )
        finally:
            for handle in (output, nothing, lock):
                os.close(handle)
        return str(pid)

    async def alive(self, folder: Path, name: str | None) -> bool:
        _bury(name)
        try:
            lock = os.open(_lock(folder), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    async def interrupt(self, folder: Path, name: str | None) -> None:
        if name is not None and await self.alive(folder, name):
            os.kill(int(name), signal.SIGINT)

    async def why_ended(self, folder: Path, name: str | None) -> str | None:
        return None


_HELD = 3  # the handle under which a build inherits its lock; nothing of it knows


def _lock(folder: Path) -> Path:
    return folder / "job.lock"


def _bury(name: str | None) -> None:
    """Takes the exit code of a child that ended, which would stay a zombie otherwise."""
    try:
        if name is not None and name.isdecimal():  # else it was begun in another place
            os.waitpid(int(name), os.WNOHANG)
    except ChildProcessError:
        return  # another server's child
