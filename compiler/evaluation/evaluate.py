"""Measures a release on rows: its program's metric, through the executor that the gateway would use.

What it finds lies beside the release as evidence/<id>/evaluation.json and scorecard.jsonl; the version stays.
The rows are the user's own or the program's test rows, and the look at them is noted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from compiler.calls import Books, RecordedModel
from compiler.charge import charge_by
from compiler.errors import UserMistake
from compiler.evaluation.answers import Answer, summarise
from compiler.evaluation.looks import record_look
from compiler.evaluation.serving_form import serving_form
from compiler.events import Event, Look, ScoreSummary, StageStarted
from compiler.evidence import library_versions, scorecard_row
from compiler.ledger import Ledger
from compiler.rehearsal import fields_needed
from compiler.request import BoundModel, BuildRequest
from compiler.scoring import Judge, Scorer, score_all
from compiler.spending import Spending
from compiler.split import Examples, load_parts
from compiler.workshop import identity_of
from engine.prices import Price, price_of
from programs.data import content_key, fingerprint, load_examples
from programs.execution import Executor
from programs.loading import blamed_on
from programs.program import Program
from programs.release import Release, add_evidence, canonical_json
from programs.verses import examples_with_verses

Report = Callable[[Event], None]
SELF = "release"
"""What the release is called in the scorecard of an evaluation."""


@dataclass(frozen=True)
class Rows:
    """What is asked: examples and where they come from."""

    program: Program
    examples: Examples
    source: str

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.examples)


@dataclass(frozen=True)
class Measured:
    """A release on rows: its answers and what they come to."""

    id: str
    at: str
    release: Release
    rows: Rows
    student: Mapping[str, Any]
    """Which model answered."""
    own_student: bool
    """It is the one that the release was compiled for."""
    answers: Sequence[Answer]
    summary: ScoreSummary
    price: Price | None
    concurrency: int
    looks: tuple[Look, ...]

    def as_dict(self) -> dict[str, Any]:
        """evaluation.json, and what --json prints."""
        return {
            "evaluation": self.id,
            "kind": "evaluation",
            "at": self.at,
            "release": self.release.name,
            "data": {
                "source": self.rows.source,
                "fingerprint": self.rows.fingerprint,
                "rows": len(self.rows.examples),
                "earlier_looks": [asdict(look) for look in self.looks],
            },
            "student": dict(self.student),
            "own_student": self.own_student,
            "concurrency": self.concurrency,
            "scores": asdict(self.summary),
            "price": self.price and asdict(self.price),
            "libraries": library_versions(),
        }


def load_rows(program: Program, data: Path | None, tables: Path | None = None) -> Rows:
    """All rows of the file, else the test rows that a build with seed 0 would measure on.

    Raises:
        DataInvalid: the file has bad lines; carries all of them.
        UserMistake: the program has too few rows of its own.
    """
    with blamed_on(program):
        needed = fields_needed(program.make_module(), program)
        if data is None:
            return Rows(
                program,
                load_parts(BuildRequest(program, tables=tables), needed).test,
                "the program's test rows",
            )
        rows = load_examples(data, *needed)
        return Rows(program, tuple(examples_with_verses(rows, program.chat, tables)), data.name)


@dataclass(frozen=True)
class Bureau:
    """Where releases are measured: one ledger, in which equal requests to one model are one call."""

    id: str
    ledger: Ledger
    spending: Spending
    concurrency: int
    models: dict[int, RecordedModel]

    def recorded(self, model: BoundModel) -> RecordedModel:
        if id(model) not in self.models:
            books = Books(self.ledger, self.spending, charge_by(price_of(model.engine)))
            slots = asyncio.Semaphore(self.concurrency)
            self.models[id(model)] = RecordedModel(model.client, identity_of(model), books, slots)
        return self.models[id(model)]


@contextmanager
def open_bureau(state: Path, verb: str, concurrency: int) -> Iterator[Bureau]:
    """`verb` begins the id, under which calls, looks and evidence are kept.

    Raises:
        StateNotWritten: the disk is full or refuses.
    """
    made = f"{verb}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"[:-3]
    with Ledger(state / "evaluations" / made / "calls.sqlite") as ledger:
        spending = Spending(ledger)
        spending.begin("score")
        yield Bureau(made, ledger, spending, concurrency, {})


@dataclass(frozen=True)
class Candidature:
    """A release to measure, on which student, with which model answering a metric that asks one."""

    release: Release
    student: BoundModel
    judge: BoundModel | None = None

    def executor(self, program: Program) -> Executor:
        return serving_form(self.release, program)


async def measure_release(
    bureau: Bureau, who: Candidature, rows: Rows, looks: tuple[Look, ...], report: Report
) -> Measured:
    """Answers to all rows, judged.

    Raises:
        CompilerError, EngineError, ProgramError: what would fail on every row; sentences for the user.
    """
    program, examples = rows.program, rows.examples
    judge = Judge(program.metric, bureau.recorded(who.judge or who.student))
    scorer, runs = Scorer(judge, bureau.recorded(who.student)), who.executor(program)
    report(StageStarted("score", len(examples)))
    answers = await score_all(scorer, runs, examples, "score", report)
    judge.check()
    theirs = canonical_json(dict(who.release.identity.fingerprint))
    return Measured(
        id=bureau.id,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        release=who.release,
        rows=rows,
        student=identity_of(who.student),
        own_student=canonical_json(dict(who.student.fingerprint.as_dict())) == theirs,
        answers=answers,
        summary=summarise(answers),
        price=price_of(who.student.engine),
        concurrency=bureau.concurrency,
        looks=looks,
    )


async def evaluate(bureau: Bureau, who: Candidature, rows: Rows, state: Path, report: Report) -> Measured:
    """Measures and keeps the evidence.

    Raises:
        CompilerError, EngineError, ProgramError: as they are.
    """
    refuse_another(rows.program, who.release)
    who.executor(rows.program)  # a release that can't be run is told before a look is noted
    looks = record_look(state, rows.fingerprint, bureau.id, rows.program.name)
    measured = await measure_release(bureau, who, rows, looks, report)
    keep_evidence(measured, measured.id, {})
    return measured


def refuse_another(program: Program, release: Release) -> None:
    if release.identity.program != program.name:
        raise UserMistake(
            f"release {release.name!r} is of program {release.identity.program!r}, not of {program.name!r}"
        )


def keep_evidence(measured: Measured, evidence_id: str, more: Mapping[str, Any]) -> None:
    """Writes what was measured beside the release; `more` joins evaluation.json.

    Raises:
        ReleaseNotWritten: the disk is full or refuses.
    """
    told = orjson.dumps({**measured.as_dict(), **more}, option=orjson.OPT_INDENT_2, default=str)
    lines = []
    for index, (example, answer) in enumerate(zip(measured.rows.examples, measured.answers, strict=True)):
        inputs = dict(example.inputs().items())
        named = {"id": index, "example": content_key(example)[:16], "program": SELF, "inputs": inputs}
        lines.append(scorecard_row(named, example, answer))
    add_evidence(
        measured.release.path, evidence_id, {"evaluation.json": told, "scorecard.jsonl": b"".join(lines)}
    )
