"""Who is measured beside the compiled program on the test examples.

zero-shot         the program as it is
manual few-shot   the program with the demonstrations that its author picked, where it has any
teacher           the program as it is on the teacher model, where there is one
champion          the release that is served now, where there is one, on this build's student
compiled          what the build found
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import dspy

from compiler.bench import Subject
from compiler.candidate import PLAIN, Candidate
from compiler.errors import MetricFailed
from compiler.estimate import Beside
from compiler.evaluation.answers import Answer
from compiler.evaluation.serving_form import serving_form
from compiler.events import ContenderName, Event, Log, Scored, Stage, StageStarted
from compiler.lowering import executor
from compiler.optimizers.labeled import labelled_demos
from compiler.request import Cast, told_name
from compiler.scoring import Judge, Scorer, score_all
from compiler.split import Examples
from programs.aliases import read_aliases
from programs.data import content_key
from programs.errors import ProgramError, ProgramInvalid
from programs.execution import Executor
from programs.loading import blamed_on
from programs.program import Program
from programs.release import canonical_json, read_release

Report = Callable[[Event], None]


class Entry(NamedTuple):
    """A program to measure, who runs and judges it, and which one it is where its name leaves that open."""

    name: ContenderName
    executor: Executor
    scorer: Scorer
    what: str | None = None
    release: str | None = None


class Tested(NamedTuple):
    """A contender's answers to all test examples, in their order."""

    name: ContenderName
    answers: Sequence[Answer]
    what: str | None = None
    release: str | None = None


@dataclass(frozen=True)
class Paddock:
    """Where contenders come from: the program, the models and who judges them, the releases there are."""

    subject: Subject
    cast: Cast
    student: Scorer
    teacher: Scorer
    releases: Path


def count_beside(program: Program, cast: Cast, releases: Path) -> Beside:
    """What an estimate has to reckon with; a champion that turns out to be broken is counted too.

    Raises:
        ProgramInvalid: the program's `handpicked` fails; better now than when all has been paid for.
    """
    champion = read_aliases(releases / program.name).champion
    student = int(bool(_picked(program))) + int(champion is not None)
    teacher = int(cast.teacher is not None)
    return Beside(student, teacher, 2 * teacher * (program.second_opinion is not None))


async def measure(paddock: Paddock, compiled: Executor, test: Examples, report: Report) -> Sequence[Tested]:
    """Every contender's answers to the test examples."""
    return await test_all(line_up(paddock, compiled, test, report), test, report)


def line_up(paddock: Paddock, compiled: Executor, test: Examples, report: Report) -> list[Entry]:
    """All contenders, the plain program first, the compiled one last."""
    program, module = paddock.subject
    plain = executor(module, program, PLAIN)
    entries = [Entry("zero-shot", plain, paddock.student)]
    entries += _handpicked(paddock, test, report)
    if paddock.cast.teacher is not None:
        entries.append(Entry("teacher", plain, paddock.teacher, f"model {told_name(paddock.cast.teacher)!r}"))
    entries += _champion(paddock, report)
    return [*entries, Entry("compiled", compiled, paddock.student)]


async def test_all(entries: Sequence[Entry], test: Examples, report: Report) -> list[Tested]:
    """One contender after the other: the engine's prefix cache then holds the prompt of one."""
    tested = []
    for entry in entries:
        stage: Stage = "score" if entry.name == "compiled" else "baseline"
        report(StageStarted(stage, len(test), entry.name))
        try:
            answers = await score_all(entry.scorer, entry.executor, test, stage, _apart(entry.name, report))
        except MetricFailed as error:
            if entry.name != "champion":
                raise
            report(Log(f"The champion {entry.release} can't be measured and is not compared: {error}."))
            continue
        tested.append(Tested(entry.name, answers, entry.what, entry.release))
    return tested


def _handpicked(paddock: Paddock, test: Examples, report: Report) -> Iterator[Entry]:
    """The prompt that a person would write; an example that is a test example is not shown."""
    program, module = paddock.subject
    picked = _picked(program)
    held_out = {content_key(example) for example in test}
    shown = [example for example in picked if content_key(example) not in held_out]
    if len(shown) < len(picked):
        report(Log(f"Left {len(picked) - len(shown)} hand-picked examples out: they are test examples."))
    if shown:
        predictors = dict(module.named_predictors())
        demos = labelled_demos(predictors, dict.fromkeys(predictors, shown))
        runs = executor(module, program, Candidate("hand-picked", demos))
        yield Entry("manual few-shot", runs, paddock.student, f"{len(shown)} hand-picked examples")


def _picked(program: Program) -> list[dspy.Example]:
    if program.handpicked is None:
        return []
    with blamed_on(program):
        picked = list(program.handpicked())
    for example in picked:
        if not isinstance(example, dspy.Example):
            raise ProgramInvalid(
                f"program {program.name!r}: handpicked() gave {example!r}, which is no dspy.Example"
            )
    return picked


def _champion(paddock: Paddock, report: Report) -> Iterator[Entry]:
    program, student = paddock.subject.program, paddock.cast.student
    name = f"{program.name}@champion"
    try:
        champion = read_aliases(paddock.releases / program.name).champion
        if champion is None:
            return
        name = f"{program.name}@{champion}"
        release = read_release(paddock.releases / program.name / champion)
        runs = serving_form(release, program)
    except ProgramError as error:
        report(Log(f"The champion {name} can't be run and is not compared: {error}."))
        return
    # A champion of an earlier form of the program may give what the metric can't read: its own failures.
    scorer = Scorer(Judge(program.metric, paddock.teacher.model), paddock.student.model)
    what = release.name
    if canonical_json(dict(student.fingerprint.as_dict())) != canonical_json(
        dict(release.identity.fingerprint)
    ):
        report(Log(f"The champion {name} was compiled for another student; it is measured on this one."))
        what = f"{release.name}, compiled for another student"
    yield Entry("champion", runs, scorer, what, release.name)


def _apart(name: ContenderName, report: Report) -> Report:
    """Progress of a contender of its own, so that its mean is not taken for that of the plain program."""

    def tell(event: Event) -> None:
        apart = isinstance(event, Scored) and name not in ("zero-shot", "compiled")
        report(replace(event, candidate=name) if apart and isinstance(event, Scored) else event)

    return tell
