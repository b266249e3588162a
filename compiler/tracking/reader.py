"""Tells MLflow of a build while it runs, without ever holding it up: a reader of the event stream.

Events go through a bounded queue and one thread to a process of its own, `tracker.py`, which is the only one
that touches MLflow. A store that is down, fails or hangs ends the tracking, never the build, and is told once
with the command that logs the build afterwards.
"""

from __future__ import annotations

import contextlib
import queue
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from compiler.events import Began, Event, Finished, Scored
from compiler.tracking.mlflow_store import (
    MISSING,
    OFF,
    Address,
    TrackingUnavailable,
    address_of,
    is_installed,
)
from compiler.tracking.recording import Tracked, is_a_point
from compiler.tracking.tracker import TOLD, event_line, first_line, last_line

_ROOT = Path(__file__).parent.parent
_WAITING = 10_000  # events in the queue; a store so far behind does not catch up


class Tracking(Protocol):
    """A reader of the event stream that lasts as long as its `with` block."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def read(self, event: Event) -> None: ...


class Untracked:
    """Tracking that is off."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, event: Event) -> None:
        pass


@dataclass(frozen=True)
class Patience:
    """How long a build that is over waits for MLflow, and how many events may lie waiting before that."""

    seconds: float = 30.0
    events: int = _WAITING
    interrupted: float = 10.0
    """Seconds after Ctrl-C, when nobody wants to wait any more."""


def open_tracking(
    uri: str | None,
    state: Path,
    tracked: Tracked,
    warn: Callable[[str], None],
    patience: Patience = Patience(),
) -> Tracking:
    """Tracking at `uri`: `off`, a server or store, or by default SQLite in the state folder.

    `warn` is told, once, when the store fails; the build goes on.

    Raises:
        TrackingUnavailable: the address is none, or MLflow is asked for and not installed.
    """
    if uri == OFF:
        return Untracked()
    address = address_of(uri, state)
    if is_installed():
        return MlflowTracking(address, tracked, warn, patience)
    if uri is not None:
        raise TrackingUnavailable(MISSING.format(name="mlflow"))
    warn(f"This build is not tracked: {MISSING.format(name='mlflow')}")
    return Untracked()


class MlflowTracking:
    """One build told to one tracker process."""

    def __init__(
        self, address: Address, tracked: Tracked, warn: Callable[[str], None], patience: Patience
    ) -> None:
        self._address, self._tracked, self._warn, self._patience = address, tracked, warn, patience
        self._release = f"{tracked.program}@candidate"  # which every finished build becomes
        self._began = self._finished = self._given_up = False
        self._lines: queue.Queue[bytes | None] = queue.Queue(patience.events)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        # Not in the folder of the build: a file there must not stand in for a library. A group of its own
        # keeps Ctrl-C away from it; a session of its own would be scheduled as if it were no less urgent.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "compiler.tracking.tracker"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            process_group=0,
        )
        self._feeder = threading.Thread(target=self._feed, name="mlflow", daemon=True)
        self._lines.put(first_line(address, tracked))
        self._feeder.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted = kind is not None and not issubclass(kind, Exception)
        # A build below its target raises after it has finished.
        failed = "KILLED" if interrupted else "FAILED"
        wait = self._patience.interrupted if interrupted else self._patience.seconds
        self._end("FINISHED" if self._finished else failed, wait)

    def read(self, event: Event) -> None:
        if isinstance(event, Began):
            self._began = True
        elif isinstance(event, Finished):
            self._finished = True
            self._release = f"{event.result.program}@{event.result.version}"
        if type(event).__name__ not in TOLD or (isinstance(event, Scored) and not is_a_point(event)):
            return
        if self._process.poll() is not None:
            self._give_up(self._last_words())
        else:
            self._put(event_line(event))

    def _put(self, line: bytes | None) -> None:
        if self._given_up:
            return
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._give_up(f"MLflow at {self._address.shown!r} does not keep up with the build")

    def _feed(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            while (line := self._lines.get()) is not None:
                pipe.write(line)
                pipe.flush()
            pipe.close()
        except OSError:
            pass  # the process has ended; its last words are read where it is missed

    def _end(self, status: str, seconds: float) -> None:
        """Waits until all is written, and not longer than that."""
        deadline = time.monotonic() + seconds
        if self._began and not self._given_up:
            self._put(last_line(status))
            self._put(None)
            self._feeder.join(max(0.0, deadline - time.monotonic()))
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.0, deadline - time.monotonic()))
            if self._process.poll() is None:
                self._give_up(f"MLflow at {self._address.shown!r} did not answer within {seconds:g} seconds")
            elif self._process.returncode:
                self._give_up(self._last_words())
        self._close()

    def _close(self) -> None:
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
        self._feeder.join(1.0)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _give_up(self, why: str) -> None:
        if self._given_up:
            return
        self._given_up = True
        if self._process.poll() is None:
            self._process.kill()
        self._warn(f"{why}; {self._what_now()}")

    def _what_now(self) -> str:
        given = self._address.own is None and not self._address.secret
        uri = ["--mlflow-uri", self._address.uri] if given else []
        command = shlex.join(["compiler", "log", self._release, *uri])
        if self._finished:
            return f"log this build afterwards: {command}"
        return f"the build goes on untracked, log it when it is released: {command}"

    def _last_words(self) -> str:
        """What the process said before it ended, or where that is nothing, the end of its traceback."""
        assert self._process.stdout is not None
        said = self._process.stdout.read().decode(errors="replace").strip()
        if said:
            return said
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines() or ["no reason given"]
        return f"MLflow at {self._address.shown!r} failed: {self._address.redact(lines[-1])[:300]}"
