"""A second metric on the test answers: where it and the program's own disagree, one of them is being fooled.

Meant for a metric that is cheap and easy to game, with a judge beside it. Asked where there is a teacher to
judge, and only about the answers of the unoptimised and the compiled program. It decides nothing: neither
the search nor the gain looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import dspy

from compiler.errors import CompilerError
from compiler.evaluation.analysis import shortened
from compiler.evaluation.answers import Answer
from compiler.evaluation.contenders import Paddock, Tested
from compiler.evaluation.statistics import paired_test, rank_correlation
from compiler.events import Apart, Disagreement, Event, Log, SecondOpinion
from compiler.request import told_name
from compiler.scoring import AT_ONCE, Judge
from compiler.split import Examples
from engine.errors import EngineError
from programs.measuring import Measured, metric_name
from programs.together import in_turn

HIGH, LOW = 2 / 3, 1 / 3
MOST_EXAMPLES = 5  # of each kind
_LONGEST = 300  # characters shown


class Opinions(NamedTuple):
    """What it comes to, and row by row; None of a row is an answer that could not be judged."""

    summary: SecondOpinion
    before: Sequence[Measured | None]
    after: Sequence[Measured | None]


async def second_opinion(
    paddock: Paddock, tested: Sequence[Tested], test: Examples, seed: int, report: Callable[[Event], None]
) -> Opinions | None:
    """None where the program wants none, or it can't be had, which is told: a build does not fail by it."""
    metric, teacher = paddock.subject.program.second_opinion, paddock.cast.teacher
    if metric is None:
        return None
    name = metric_name(metric)
    if teacher is None:
        report(Log(f"No second opinion: {name} is asked only where a teacher judges; name one by --teacher."))
        return None
    called = told_name(teacher)
    judge, sides = Judge(metric, paddock.teacher.model), (tested[0].answers, tested[-1].answers)
    report(Log(f"Asking {called!r} for a second opinion, {name}, on {2 * len(test)} answers."))
    try:
        before, after = [await _opinions(judge, test, answers) for answers in sides]
        judge.check()
    except (CompilerError, EngineError) as error:
        report(Log(f"No second opinion: {error}."))
        return None
    told = _numbers(before), _numbers(after)
    n, rank, gamed, missed = _summed_up(test, tested[-1].answers, after)
    summary = SecondOpinion(
        metric=name,
        judge=called,
        before=sum(told[0]) / len(test),
        after=sum(told[1]) / len(test),
        difference=paired_test(*told, seed),
        n=n,
        correlation=rank,
        only_metric=gamed,
        only_opinion=missed,
        unjudged=[*before, *after].count(None),
    )
    return Opinions(summary, before, after)


async def _opinions(judge: Judge, test: Examples, answers: Sequence[Answer]) -> list[Measured | None]:
    async def one(example: dspy.Example, answer: Answer) -> Measured | None:
        if not _readable(answer):
            return Measured(0.0, feedback=answer.error or "")
        measured, failure = await judge.score(example, answer.outputs)
        return None if failure else measured

    return await in_turn((one(*pair) for pair in zip(test, answers, strict=True)), AT_ONCE)


def _readable(answer: Answer) -> bool:
    return answer.fault in (None, "metric")


def _numbers(opinions: Sequence[Measured | None]) -> list[float]:
    return [0.0 if one is None else one.score for one in opinions]


def _summed_up(
    test: Examples, answers: Sequence[Answer], opinions: Sequence[Measured | None]
) -> tuple[int, float | None, Apart, Apart]:
    """How many answers both looked at, their rank correlation, and where they part, worst first.

    A reply that could not be read is bad for both, which says nothing of either.
    """
    rows = [
        Disagreement(
            id=index,
            score=answer.score,
            opinion=opinion.score,
            inputs=shortened(dict(example.inputs().items()), _LONGEST),
            got=shortened(answer.outputs, _LONGEST),
            remark=shortened(opinion.feedback, _LONGEST),
        )
        for index, (example, answer, opinion) in enumerate(zip(test, answers, opinions, strict=True))
        if opinion is not None and answer.fault is None
    ]
    rank = rank_correlation([row.score for row in rows], [row.opinion for row in rows])
    rows.sort(key=lambda row: (-abs(row.score - row.opinion), row.id))
    gamed = [row for row in rows if row.score >= HIGH and row.opinion <= LOW]
    missed = [row for row in rows if row.score <= LOW and row.opinion >= HIGH]
    return len(rows), rank, _apart(gamed), _apart(missed)


def _apart(rows: Sequence[Disagreement]) -> Apart:
    return Apart(len(rows), tuple(rows[:MOST_EXAMPLES]))
