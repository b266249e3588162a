"""The events of a build as JSON lines in a file, for whoever follows it from another process.

    {"event": "Scored", "at": "2026-11-27T09:30:00.123+00:00", "said": {"stage": "optimise", "done": 3}}

Each run of a build begins with `RunBegan` and ends with `RunEnded`, its exit code and sentences; one that was
killed ends without.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click
import orjson

from compiler.errors import CompilerError, StateNotWritten
from compiler.events import Event
from compiler.run import INTERRUPTED
from engine.errors import EngineError
from programs.errors import DataInvalid, ProgramError

_MOST_SENTENCES = 200


@dataclass(frozen=True)
class RunBegan:
    """A run of the build begins."""


@dataclass(frozen=True)
class RunEnded:
    """A run of the build is over; the code is its exit code."""

    code: int
    sentences: tuple[str, ...] = ()


class EventFile:
    """Appends one line for each event; a reader of the event stream."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ended = False

    def read(self, event: Event | RunBegan) -> None:
        self._file.write(line_of(event))

    def end(self, code: int, sentences: Sequence[str] = ()) -> None:
        """Told once: what comes later is a consequence."""
        if not self._ended:
            self._ended = True
            self._file.write(line_of(RunEnded(code, tuple(sentences[:_MOST_SENTENCES]))))


def line_of(event: Event | RunBegan | RunEnded) -> bytes:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    content = {"event": type(event).__name__, "at": at, "said": event}
    return orjson.dumps(content, default=str, option=orjson.OPT_NON_STR_KEYS) + b"\n"


@contextmanager
def open_event_file(path: Path) -> Iterator[EventFile]:
    """Appends to the file until the block ends; what is raised in the block is written as its end.

    Raises:
        StateNotWritten: the file can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        cut_off = path.exists() and _is_cut_off(path)
        opened = path.open("ab", buffering=0)
    except OSError as error:
        raise StateNotWritten(f"can't write the events to {str(path)!r}: {error.strerror}") from error
    with opened as file:
        if cut_off:
            file.write(b"\n")
        events = EventFile(file)
        events.read(RunBegan())
        try:
            yield events
        except BaseException as error:
            how = _how(error)
            events.end(how.code, how.sentences)
            raise


def _is_cut_off(path: Path) -> bool:
    """Whether the last writer was killed within a line."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read() not in (b"", b"\n")


def _how(error: BaseException) -> RunEnded:
    """The exit code and the sentences that the command ends with."""
    match error:
        case DataInvalid():
            return RunEnded(2, tuple(error.mistakes))
        case ProgramError():
            return RunEnded(2, (str(error),))
        case CompilerError() | EngineError():
            return RunEnded(error.exit_code, (str(error),))
        case click.ClickException():
            return RunEnded(error.exit_code, (error.format_message(),))
        case KeyboardInterrupt():
            return RunEnded(INTERRUPTED, ("Interrupted before anything was asked.",))
        case _:
            return RunEnded(1, (f"The build failed by a fault of its own: {type(error).__name__}: {error}",))
