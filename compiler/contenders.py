"""Who is measured beside the compiled program on the test examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from compiler.answers import Answer
from compiler.events import ContenderName, Event, Stage, StageStarted
from compiler.scoring import Scorer, score_all
from compiler.split import Examples
from programs.execution import Executor


class Entry(NamedTuple):
    """A program to measure, and who runs and judges it."""

    name: ContenderName
    executor: Executor
    scorer: Scorer


class Tested(NamedTuple):
    """A contender's answers to all test examples, in their order."""

    name: ContenderName
    answers: Sequence[Answer]


async def test_all(entries: Sequence[Entry], test: Examples, report: Callable[[Event], None]) -> list[Tested]:
    """One contender after the other: the engine's prefix cache then holds the prompt of one."""
    tested = []
    for entry in entries:
        stage: Stage = "score" if entry.name == "compiled" else "baseline"
        report(StageStarted(stage, len(test)))
        answers = await score_all(entry.scorer, entry.executor, test, stage, report)
        tested.append(Tested(entry.name, answers))
    return tested
