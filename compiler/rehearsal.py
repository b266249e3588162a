"""Checks that program, examples and models fit each other, before anything costly runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import dspy

from compiler.bench import Bench
from compiler.candidate import PLAIN, Candidate
from compiler.errors import ModelUnusable, ProgramUnusable
from compiler.evaluation.answers import Answer
from compiler.lowering import executor, lower
from compiler.optimizers.labeled import labelled_demos
from compiler.scoring import Scorer, request_inputs
from compiler.split import Needed, Parts
from programs.errors import DataInvalid, InputInvalid, LoweringImpossible
from programs.execution import Executor, PlanExecutor
from programs.metrics import labels_of
from programs.plan import Field, complete_inputs
from programs.program import SPLITS, Program
from programs.signature import signature_fields
from programs.together import together

QUESTIONS = 4
TEACHER_QUESTIONS = (
    16  # what an answer of the teacher takes is told beside the release's own; that needs more
)


class Rehearsal(NamedTuple):
    """First answers of the unoptimised program; `seconds` is how long the student's took, asked together.

    `passed` tells of the teacher's runs that were to become demonstrations which did; `shown` are answers of
    the student that was shown them.
    """

    student: Sequence[Answer]
    teacher: Sequence[Answer]
    seconds: float
    passed: Sequence[bool] = ()
    shown: Sequence[Answer] = ()


def fields_needed(module: dspy.Module, program: Program) -> Needed:
    """What a row of the user's own must hold: all inputs, the answer, and what the metric compares with."""
    known: dict[str, Field] = {}
    for _, predictor in module.named_predictors():
        try:
            inputs, outputs = signature_fields(predictor.signature)
        except LoweringImpossible:
            continue
        known = {field.name: field for field in (*inputs, *outputs)} | known
    taken = executor(module, program, PLAIN).inputs
    answer = known.get(program.chat.answer, Field(program.chat.answer))
    others = [name for name in labels_of(program.metric) if name != answer.name]
    return Needed(
        [known.get(field.name, field) for field in taken],
        [answer, *(known.get(name, name) for name in others)],
        program.as_fields,
    )


def check_fit(module: dspy.Module, program: Program, parts: Parts) -> None:
    """Everything that would make every request fail.

    Raises:
        ProgramUnusable: the module can't run, or the chat names fields it doesn't have.
        DataInvalid: examples whose inputs the program can't take; carries all of them.
    """
    runs = executor(module, program, PLAIN)
    _check_chat(runs, program)
    if not isinstance(runs, PlanExecutor):
        return
    plan = lower(module, program, PLAIN, None)
    mistakes = []
    for split in SPLITS:
        for number, example in enumerate(getattr(parts, split), start=1):
            try:
                complete_inputs(plan, request_inputs(runs, example))
            except InputInvalid as error:
                mistakes.append(f"{split} example {number}: {error}")
    if mistakes:
        raise DataInvalid(mistakes)


async def rehearse(
    runs: Executor, train: Sequence[dspy.Example], student: Scorer, teacher: Scorer
) -> Rehearsal:
    """Asks both models a few training questions.

    Raises:
        ModelUnusable: one of them says nothing at all.
        EngineError: one of them can't be reached.
    """
    begun = time.monotonic()
    answers = await _ask("student", runs, train, QUESTIONS, student)
    seconds = time.monotonic() - begun
    if teacher.model is student.model:
        return Rehearsal(answers, answers, seconds)
    return Rehearsal(answers, await _ask("teacher", runs, train, TEACHER_QUESTIONS, teacher), seconds)


async def rehearse_demonstrations(bench: Bench, seen: Rehearsal) -> Rehearsal:
    """As a search does it: a few rows are worked out by the teacher and shown to the student with others.

    Only for what an estimate needs: models often answer at another length once they are shown how.
    """
    first, second, third = (bench.train[n * QUESTIONS : (n + 1) * QUESTIONS] for n in range(3))
    predictors = bench.predictors()
    candidate = Candidate("rehearsed", labelled_demos(predictors, dict.fromkeys(predictors, first)))
    runs = await together(bench.show(candidate, row) for row in second)
    worked = [run for run in runs if run is not None]
    if worked:
        demos = {name: [run[name] for run in worked if name in run] for name in predictors}
        candidate = Candidate("rehearsed", demos)
    fitting = await bench.fits(candidate) or PLAIN
    answers = await together(bench.score(fitting, row) for row in third)
    return seen._replace(passed=[run is not None for run in runs], shown=answers)


async def _ask(
    role: str, runs: Executor, train: Sequence[dspy.Example], count: int, scorer: Scorer
) -> list[Answer]:
    """Answers to the first questions; where some are too long for the model, the shortest stand in."""
    asked = await together(scorer.answer(runs, question) for question in train[:count])
    answers = [answer for answer in asked if answer.fault != "too_long"]
    if len(answers) < len(asked):
        others = sorted(train[count:], key=_length)[: len(asked) - len(answers)]
        asked += await together(scorer.answer(runs, question) for question in others)
        answers = [answer for answer in asked if answer.fault != "too_long"]
    if not any(step.text.strip() for answer in answers for step in answer.steps):
        errors = [answer.error for answer in (answers or asked) if answer.error]
        why = f": {errors[0]}" if errors else ""
        raise ModelUnusable(f"the {role} answered none of {len(asked)} training questions{why}")
    return answers


def _length(example: dspy.Example) -> int:
    return sum(len(str(value)) for value in example.inputs().values())


def _check_chat(runs: Executor, program: Program) -> None:
    chat = program.chat
    inputs = [field.name for field in runs.inputs]
    outputs = [field.name for field in runs.outputs]
    for role, name in (("user", chat.user), ("system", chat.system), ("history", chat.history)):
        if name is not None and name not in inputs:
            raise ProgramUnusable(
                f"program {program.name!r}: chat.{role} is {name!r}, its inputs are {', '.join(inputs)}"
            )
    for name in (chat.answer, *chat.reasoning):
        if name not in outputs:
            raise ProgramUnusable(
                f"program {program.name!r}: chat names output {name!r}, its outputs are {', '.join(outputs)}"
            )
