"""Measures the cells of a study, one after the other.

A cell that is there is not made again; one that was interrupted goes on from its ledger. What would end every
further cell, as an engine that is gone, ends the study, which can be begun again; all else is its cell's own.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks.study_cells import PLAIN, REFERENCE, Built, Cell, Measured, Shelf, Status
from benchmarks.study_models import Models
from benchmarks.study_reference import Reference
from benchmarks.study_tasks import Task
from benchmarks.surroundings import BenchmarkFailed
from compiler.build import build
from compiler.errors import BuildMismatch, CompilerError, ProgramUnusable, StateNotWritten
from compiler.events import BuildResult, Event, Finished, StageStarted
from compiler.evidence import ROW_NAMES
from compiler.optimizers.auto import NAME as AUTO
from compiler.optimizers.expected import Foresees
from compiler.optimizers.table import OPTIMIZERS, make_optimizer
from compiler.request import BuildRequest, Cast
from compiler.spending import Ceiling
from compiler.terminal import open_display, say
from engine.errors import EngineCredentialRefused, EngineError, EngineUnreachable, EngineWrongModel
from programs.errors import ProgramError, ReleaseNotWritten

QUICK = ("LabeledFewShot", "BootstrapFewShot", "BootstrapFewShotWithRandomSearch")
ALL = tuple(name for name in OPTIMIZERS if name not in (PLAIN, AUTO))
"""`auto` is always one of the others."""
ENDS_ALL = (
    EngineUnreachable, EngineCredentialRefused, EngineWrongModel,
    StateNotWritten, ReleaseNotWritten, BuildMismatch,
)  # fmt: skip
Missing = Sequence[tuple[Task, str]]


@dataclass(frozen=True)
class Terms:
    """How every cell is measured; the ceiling is that of one build."""

    seed: int
    concurrency: int
    ceiling: Ceiling
    tables: Path | None = None


@dataclass(frozen=True)
class Plan:
    """The cells of a study: of every task the plain program, the reference and each optimiser."""

    tasks: Sequence[Task]
    optimizers: Sequence[str]

    def missing(self, shelf: Shelf, retry: bool = False) -> list[tuple[Task, str]]:
        """Those to make; with `retry` the failed ones too.

        Raises:
            BenchmarkFailed: a cell is there, but of other rows.
        """
        left = []
        for task in self.tasks:
            for name in (PLAIN, REFERENCE, *self.optimizers):
                cell = shelf.read(task.name, name)
                if cell is None or (retry and cell.status == "failed"):
                    left.append((task, name))
                elif dict(cell.data) != dict(task.data):
                    raise BenchmarkFailed(
                        f"the rows of {task.name!r} are not those that {str(shelf.folder)!r} was measured "
                        "on; choose another --out, or the same rows"
                    )
        return left


def wants_proposer(optimizer: str) -> bool:
    """Whether it has instructions written by a model."""
    made = make_optimizer(optimizer, {})
    return isinstance(made, Foresees) and made.expected_runs(50, 20, 0.5).proposed > 0


class Follower:
    """Shows the events of a cell, and knows at which stage it is."""

    def __init__(self, show: Callable[[Event], None]) -> None:
        self.stage = "load"
        self._show = show

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageStarted):
            self.stage = event.stage
        self._show(event)


@dataclass(frozen=True)
class Workplace:
    """Where cells are made: the folder that keeps them, the models, the terms."""

    shelf: Shelf
    models: Models
    terms: Terms

    async def make_all(self, missing: Missing) -> None:
        """Makes the cells in their order, telling on standard error how it goes.

        Raises:
            CompilerError, EngineError, ProgramError: what would end every further cell too.
        """
        console = Console(stderr=True)
        for number, (task, name) in enumerate(missing, start=1):
            say(console, f"[{number}/{len(missing)}] {task.name}: {name}")
            with open_display(console) as display:
                cell = await self.make(task, name, Follower(display.read))
            self.shelf.keep(cell)
            if cell.reason is not None:
                say(console, f"  {cell.status}: {cell.reason}")

    async def make(self, task: Task, name: str, follower: Follower) -> Cell:
        """One cell. What goes wrong with it alone is its result."""
        begun = time.monotonic()

        def cell(
            status: Status,
            measured: tuple[Measured, ...] = (),
            built: Built | None = None,
            reason: str | None = None,
        ) -> Cell:
            at, seconds = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic() - begun
            load = os.getloadavg()[0]
            return Cell(task.name, name, status, at, seconds, task.data, measured, built, reason, load)

        try:
            if name == REFERENCE:
                return cell("done", await self._reference(task, follower))
            result = await self._build(task, name, follower)
            return cell("done", tuple(_contenders(result)), _built(result))
        except ENDS_ALL:
            raise
        except (CompilerError, EngineError, ProgramError) as error:
            # Optimisers look at a program when they are given it: one that is broken fails before.
            refused = isinstance(error, ProgramUnusable) and follower.stage == "optimise"
            return cell("does not apply" if refused else "failed", reason=str(error))

    async def _reference(self, task: Task, follower: Follower) -> tuple[Measured, ...]:
        models, terms = self.models, self.terms
        # A metric that asks a model asks the one that it asks in the builds.
        judge = models.teacher or models.student
        reference = Reference(models.reference, judge, terms.seed, terms.concurrency, terms.ceiling.usd)
        return await reference.measure(task, self.shelf.state(task.name) / REFERENCE, follower)

    async def _build(self, task: Task, name: str, follower: Follower) -> BuildResult:
        """The project's own build; its id is the optimiser's name, by which an interrupted one goes on."""
        terms, models = self.terms, self.models
        request = BuildRequest(
            program=task.program,
            optimizer=name,
            seed=terms.seed,
            concurrency=terms.concurrency,
            ceiling=terms.ceiling,
            tables=terms.tables,
            # A folder of its own, or every build would measure the champion of the first one too.
            releases=self.shelf.releases(name),
            state=self.shelf.state(task.name),
            build_id=name,
        )
        # Builds without need of a proposer stay the same builds when one joins later.
        proposer = models.proposer if name == AUTO or wants_proposer(name) else None
        result: BuildResult | None = None
        async with aclosing(build(request, Cast(models.student, models.teacher, proposer))) as events:
            async for event in events:
                follower(event)
                if isinstance(event, Finished):
                    result = event.result
        assert result is not None, "a build ends with its result or with an error"
        return result


def _built(result: BuildResult) -> Built:
    return Built(
        build=result.build_id,
        release=f"{result.program}@{result.version}",
        optimizer=result.optimizer,
        kind=result.kind,
        calls=result.spent.calls,
        usd=result.spent.usd,
        seconds=result.seconds,
        gain=result.difference,
        stopped=result.stopped,
    )


def _contenders(result: BuildResult) -> Iterator[Measured]:
    """Everyone whom the build measured, with the scores of each row from its evidence."""
    scorecard = result.path / "evidence" / result.build_id / "scorecard.jsonl"
    scores: dict[str, dict[int, float]] = {}
    for line in scorecard.read_bytes().splitlines():
        row = json.loads(line)
        scores.setdefault(row["program"], {})[row["id"]] = row["score"]
    for one in result.contenders:
        by_id = scores[ROW_NAMES.get(one.name, one.name)]
        yield Measured(one.name, one.summary, tuple(by_id[place] for place in sorted(by_id)), one.what)
