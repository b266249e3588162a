"""A reference model on the rows of a task: asked, judged and counted as a build does it with its student."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.study_cells import Measured
from benchmarks.study_tasks import Task
from compiler.bench import Subject
from compiler.calls import OUTAGE, Books, RecordedModel
from compiler.candidate import PLAIN
from compiler.charge import charge_by
from compiler.evaluation.answers import summarise
from compiler.evaluation.contenders import Paddock, Tested, line_up, test_all
from compiler.events import Event
from compiler.ledger import Ledger
from compiler.lowering import executor
from compiler.rehearsal import rehearse
from compiler.request import BoundModel, Cast
from compiler.scoring import Judge, Scorer
from compiler.spending import Ceiling, Spending
from compiler.workshop import identity_of
from engine.prices import price_of


@dataclass(frozen=True)
class Reference:
    """The model, who judges for a metric that asks a model, and how it is asked."""

    model: BoundModel
    judge: BoundModel
    seed: int
    concurrency: int
    max_usd: float | None = None

    async def measure(
        self, task: Task, folder: Path, report: Callable[[Event], None]
    ) -> tuple[Measured, ...]:
        """Zero-shot, and with the program's hand-picked examples where it has any.

        `folder` keeps its calls, so that what was interrupted asks nothing twice.

        Raises:
            CompilerError, EngineError, ProgramError: what would fail on every row; sentences for a person.
        """
        program = task.program
        module = program.make_module()
        plain = executor(module, program, PLAIN)
        with Ledger(folder / "calls.sqlite") as ledger:
            spending = Spending(ledger, Ceiling(self.max_usd))
            judge = Judge(program.metric, self._recorded(self.judge, ledger, spending))
            scorer = Scorer(judge, self._recorded(self.model, ledger, spending))
            # The first questions, as in a build: a model that is cold or says nothing shows there.
            await rehearse(plain, tuple(task.rows["train"]), scorer, scorer)
            spending.begin("baseline")
            paddock = Paddock(Subject(program, module), Cast(self.model), scorer, scorer, folder / "releases")
            test = tuple(task.rows["test"])
            entries = line_up(paddock, plain, test, report)[:-1]  # the last one is what a build has found
            tested = await test_all(entries, test, report)
            judge.check()
        return tuple(map(self._measured, tested))

    def _recorded(self, model: BoundModel, ledger: Ledger, spending: Spending) -> RecordedModel:
        books = Books(ledger, spending, charge_by(price_of(model.engine)))
        slots = asyncio.Semaphore(self.concurrency)
        return RecordedModel(model.client, identity_of(model), books, slots, outage=OUTAGE)

    def _measured(self, tested: Tested) -> Measured:
        scores = tuple(answer.score for answer in tested.answers)
        return Measured(tested.name, summarise(tested.answers, self.seed), scores, tested.what)
