"""The tasks of a study: programs with the rows that train, select and test, the same ones in every build."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import dspy

from benchmarks.surroundings import BenchmarkFailed
from compiler.errors import CompilerError
from compiler.rehearsal import fields_needed
from compiler.request import BuildRequest
from compiler.split import LEAST_ROWS, load_parts
from programs.data import fingerprint
from programs.errors import ProgramError, ProgramNotFound
from programs.loading import blamed_on, load_program
from programs.program import SPLITS, Program, Split

Rows = Mapping[Split, Sequence[dspy.Example]]


@dataclass(frozen=True)
class Task:
    """A program whose examples are settled: `program.examples` gives the rows of this study."""

    name: str
    program: Program
    rows: Rows
    data: Mapping[Split, str]
    """Fingerprints of the rows."""


@dataclass(frozen=True)
class Drawing:
    """Which rows are taken: at most `rows` of each split, by the seed; None is all of them."""

    rows: int | None = None
    seed: int = 0
    tables: Path | None = None

    def __post_init__(self) -> None:
        if self.rows is not None and self.rows < LEAST_ROWS:
            raise BenchmarkFailed(f"--rows {self.rows} is too few: a build needs at least {LEAST_ROWS}")


@dataclass(frozen=True)
class Tasks:
    """By name: those that can be measured, and why the others can't."""

    known: Mapping[str, Task]
    refused: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.known, *self.refused)


def load_tasks(asked: Sequence[str], drawing: Drawing) -> Tasks:
    """Every program with its rows; asks no model.

    Raises:
        BenchmarkFailed: there is no such program, or two have the same name.
    """
    known: dict[str, Task] = {}
    refused: dict[str, str] = {}
    for given in dict.fromkeys(asked):
        try:
            task = load_task(given, drawing)
        except ProgramNotFound as error:
            raise BenchmarkFailed(str(error)) from error
        except (ProgramError, CompilerError) as error:
            refused[Path(given).name.removesuffix(".py")] = str(error)
            continue
        if task.name in known:
            raise BenchmarkFailed(f"two tasks are named {task.name!r}: name one of them only")
        known[task.name] = task
    return Tasks(known, refused)


def load_task(given: str, drawing: Drawing) -> Task:
    """Split as a build would split, then drawn from; what is drawn is what every build is given.

    Raises:
        ProgramError, CompilerError: there is none, it fails, or its rows are too few or not to be had.
    """
    program = load_program(given)
    with blamed_on(program):
        needed = fields_needed(program.make_module(), program)
        own = {split: tuple(program.examples(split)) for split in SPLITS}
    read = replace(program, examples=lambda split: own[split])
    parts = load_parts(BuildRequest(read, seed=drawing.seed, tables=drawing.tables), needed)
    rows = {split: _drawn(getattr(parts, split), drawing) for split in SPLITS}
    settled = replace(program, examples=lambda split: rows[split])
    return Task(program.name, settled, rows, {split: fingerprint(rows[split]) for split in SPLITS})


def _drawn(examples: Sequence[dspy.Example], drawing: Drawing) -> Sequence[dspy.Example]:
    """In their own order, so that all of them drawn are all of them."""
    if drawing.rows is None or len(examples) <= drawing.rows:
        return tuple(examples)
    chosen = random.Random(drawing.seed).sample(range(len(examples)), drawing.rows)
    return tuple(examples[index] for index in sorted(chosen))
