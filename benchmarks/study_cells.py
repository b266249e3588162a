"""What a study has measured so far: one file for each cell, written whole when the cell is done.

DIR/study.json                   which models, rows and prices; a rerun must have the same
    cells/TASK/OPTIMISER.json    one build; `none` is the program as it is
    cells/TASK/reference.json    the reference on the same test rows
    state/TASK/                  ledgers, from which what was interrupted goes on
    releases/OPTIMISER/TASK/     the releases, each with its evidence
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from benchmarks.surroundings import BenchmarkFailed
from compiler.events import PairedTest, ScoreSummary
from programs.program import Split

PLAIN = "none"
"""The optimiser that changes nothing: its build measures zero-shot and manual few-shot."""
REFERENCE = "reference"
Status = Literal["done", "failed", "does not apply"]


@dataclass(frozen=True)
class Measured:
    """A program on the test rows: what it came to, and its score on each of them in their order."""

    name: str
    summary: ScoreSummary
    scores: tuple[float, ...]
    what: str | None = None


@dataclass(frozen=True)
class Built:
    """What a build leaves to be looked up, and what it took."""

    build: str
    release: str
    optimizer: str
    kind: str
    calls: int
    usd: float | None
    seconds: float
    gain: PairedTest
    """Over zero-shot, of the same build."""
    stopped: str | None = None


@dataclass(frozen=True)
class Cell:
    """One build, or the reference on one task; of one that is not done `reason` says why."""

    task: str
    name: str
    status: Status
    at: str
    seconds: float
    data: Mapping[Split, str]
    """Fingerprints of the rows."""
    measured: tuple[Measured, ...] = ()
    built: Built | None = None
    reason: str | None = None
    load: float | None = None
    """The machine's load average of the last minute when the cell was done."""


_CELL = TypeAdapter(Cell)


@dataclass(frozen=True)
class Shelf:
    """The folder of a study."""

    folder: Path

    def state(self, task: str) -> Path:
        return self.folder / "state" / task

    def releases(self, optimizer: str) -> Path:
        return self.folder / "releases" / optimizer

    def read(self, task: str, name: str) -> Cell | None:
        """The cell, None where it is not done yet.

        Raises:
            BenchmarkFailed: its file was changed or damaged.
        """
        path = self._path(task, name)
        try:
            return _CELL.validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            first = str(error).partition("\n")[0]
            raise BenchmarkFailed(
                f"{str(path)!r} can't be read ({first}); delete it to make it again"
            ) from error

    def keep(self, cell: Cell) -> None:
        self._write(self._path(cell.task, cell.name), _CELL.dump_json(cell, indent=1))

    def asked(self) -> dict[str, Any] | None:
        """What the study here was begun with, None where none was.

        Raises:
            BenchmarkFailed: the file was changed or damaged.
        """
        path = self.folder / "study.json"
        try:
            return dict(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise BenchmarkFailed(f"{str(path)!r} can't be read: {error}; choose another --out") from error

    def begin(self, asked: Mapping[str, Any], beside: Mapping[str, Any]) -> None:
        """Keeps what is asked; what was asked before has to be the same, but may be added to.

        What is kept `beside` it may change.

        Raises:
            BenchmarkFailed: the folder holds a study of something else.
        """
        now = json.loads(json.dumps(asked))
        then = self.asked() or {}
        for name in sorted({*then, *now}):
            if name in then and name in now and then[name] != now[name]:
                raise BenchmarkFailed(
                    f"{str(self.folder)!r} holds a study with {name} {_short(then[name])}, not "
                    f"{_short(now[name])}; choose another --out, or the same {name}"
                )
        self._write(self.folder / "study.json", json.dumps({**then, **now, **beside}, indent=1).encode())

    def _path(self, task: str, name: str) -> Path:
        return self.folder / "cells" / task / f"{name}.json"

    def _write(self, path: Path, content: bytes) -> None:
        """Whole or not at all, whatever ends the process."""
        draft = path.with_suffix(".draft")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        except OSError as error:
            raise BenchmarkFailed(f"can't write {str(path)!r}: {error}") from error


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
