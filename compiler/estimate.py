"""What a build will take, told before it is paid for; and what of it measuring takes, which is kept for it.

Knows no optimiser by name: one that can foresee its runs says so itself. What a run takes is measured on the
first questions; what a demonstration adds to a prompt is counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

from compiler.bench import Bench
from compiler.candidate import Candidate, Demo, demo_of
from compiler.charge import Charges
from compiler.errors import CeilingExceeded
from compiler.evaluation.answers import Answer
from compiler.events import Estimated, PhaseSpent, Role, Stage
from compiler.optimizers.expected import Foresees, Runs
from compiler.rehearsal import QUESTIONS, Rehearsal, rehearse_demonstrations
from compiler.spending import Ceiling, Reserve
from compiler.split import Parts

__all__ = ["Foresees", "Runs", "describe_cut", "estimate", "foresee", "refuse_unpriced", "reserve"]

UNFORESEEN_DEMOS = 4  # of an optimiser that can't tell
MARGIN = 1.25  # of money and time kept for measuring; calls can be told better


class Beside(NamedTuple):
    """How many programs are measured beside the plain and the compiled one, by the model they run on.

    `judged` is of how many programs the answers get a second opinion, at most.
    """

    student: int = 0
    teacher: int = 0
    judged: int = 0


NOBODY = Beside()


class Foresight(NamedTuple):
    """What is known when the estimate is made.

    `demo_tokens` is what one demonstration adds to a prompt, `spent` what the first questions took.
    """

    train: int
    dev: int
    test: int
    rehearsal: Rehearsal
    beside: Beside = NOBODY
    demo_tokens: float = 0.0
    concurrency: int = QUESTIONS
    spent: Sequence[PhaseSpent] = ()


def estimate(optimizer: object, known: Foresight, charges: Charges) -> Estimated | None:
    """About what the build will take, from its first question on; None for an optimiser that can't tell."""
    if not isinstance(optimizer, Foresees):
        return None
    runs = _runs(optimizer, known)
    asked = [part for part in known.spent if part.phase in ("check", "estimate")]
    parts = _Parts(known, charges)
    return _sum([*asked, *parts.searching(runs), *parts.measuring(runs)])


def reserve(optimizer: object, known: Foresight, charges: Charges) -> Reserve:
    """What must be left for measuring; USD are None where the price is unknown."""
    runs = _runs(optimizer, known)
    ahead = _sum(list(_Parts(known, charges).measuring(runs)))
    # Of a program that calls more than once, some answers may take more calls than the first ones did.
    often = 1.0 if all(len(answer.steps) == 1 for answer in known.rehearsal.student) else MARGIN
    usd = None if ahead.usd is None else MARGIN * ahead.usd
    return Reserve(usd, math.ceil(often * ahead.calls), MARGIN * ahead.seconds)


def refuse_unpriced(ceiling: Ceiling, kept: Reserve) -> None:
    """Raises CeilingExceeded when nobody knows what would have to stay below the ceiling."""
    if ceiling.usd is not None and kept.usd is None:
        raise CeilingExceeded(
            f"a ceiling of {ceiling.usd:g} USD can't be kept: the engine's price is unknown; give it "
            "usd_per_hour or prices per million tokens in smallforge.toml, or leave the ceiling away"
        )


def describe_cut(ceiling: Ceiling, expected: Estimated) -> Iterator[str]:
    """What the search will be cut at, where all of it would go beyond a ceiling."""
    over = []
    if ceiling.usd is not None and expected.usd is not None and expected.usd > ceiling.usd:
        over.append(f"{expected.usd:.4f} USD, {ceiling.usd:g} are allowed")
    if ceiling.calls is not None and expected.calls > ceiling.calls:
        over.append(f"{expected.calls:,} calls, {ceiling.calls:,} are allowed")
    if ceiling.minutes is not None and expected.seconds > 60 * ceiling.minutes:
        over.append(f"{expected.seconds / 60:.1f} minutes, {ceiling.minutes:g} are allowed")
    if over:
        yield f"All of it would take about {'; '.join(over)}: the search will be ended in time to measure."


async def foresee(
    optimizer: object, bench: Bench, parts: Parts, rehearsal: Rehearsal, beside: Beside
) -> Foresight:
    """What is known after the first questions; where demonstrations are to be shown, a few are tried."""
    if (
        isinstance(optimizer, Foresees)
        and optimizer.expected_runs(len(parts.train), len(parts.dev), 1.0).demos
    ):
        rehearsal = await rehearse_demonstrations(bench, rehearsal)
    shown = await _demo_tokens(bench, rehearsal)
    spent = bench.student.model.spending.spent().phases
    sizes = (len(parts.train), len(parts.dev), len(parts.test))
    return Foresight(*sizes, rehearsal, beside, shown, bench.concurrency, spent)


async def _demo_tokens(bench: Bench, seen: Rehearsal) -> float:
    """Tokens that a demonstration adds to the program's prompts: of rows as they are, and worked out."""
    if bench.room is None:
        return 0.0
    predictors, rows = bench.predictors(), bench.train[:QUESTIONS]
    worked = [
        {**dict(row.items()), **answer.outputs}
        for row, answer in zip(rows, seen.teacher, strict=False)
        if answer.fault is None
    ]
    sizes: list[int | None] = []
    for shown in ([dict(row.items()) for row in rows], worked):
        demos: dict[str, Sequence[Demo]] = {
            name: [demo_of(values, predictor.signature) for values in shown]
            for name, predictor in predictors.items()
        }
        sizes += (await bench.room.sizes(Candidate("shown", demos))).demonstrations
    known = [size for size in sizes if size is not None]
    return sum(known) / len(known) * len(predictors) if known else 0.0


class _Parts:
    """What each phase takes of each model."""

    def __init__(self, known: Foresight, charges: Charges) -> None:
        self._known, self._charges = known, charges
        answers, taught, seconds = known.rehearsal[:3]
        # An engine answers more at once, but not as many more as are asked.
        at_once = math.sqrt(max(1.0, known.concurrency / len(answers)))
        self._seconds = seconds / len(answers) / at_once
        self._plain = {"student": _OneRun(answers), "teacher": _OneRun(taught)}
        shown = [answer for answer in known.rehearsal.shown if answer.steps]
        self._said = _OneRun(shown).said if shown else self._plain["student"].said
        self._judged = _judged(known)

    def searching(self, runs: Runs) -> Iterator[PhaseSpent]:
        yield self._part("optimise", "student", runs.scored, runs.demos)
        yield self._part("optimise", "teacher", runs.taught, runs.demos)
        yield self._part("optimise", "proposer", runs.proposed, runs.demos)
        yield self._judging("optimise", runs.scored + runs.taught)

    def measuring(self, runs: Runs) -> Iterator[PhaseSpent]:
        """A program that stays as it is is measured once: its second answers are its first."""
        beside, test = self._known.beside, self._known.test
        changed = runs != Runs()
        yield self._part("baseline", "student", test, 0)
        yield self._part("baseline", "student", test * beside.student, runs.demos or UNFORESEEN_DEMOS)
        yield self._part("baseline", "teacher", test * beside.teacher, 0)
        yield self._part("score", "student", test * runs.members * changed, runs.demos)
        yield self._part("score", "teacher", test * beside.judged, 0)
        yield self._judging("baseline", test * (1 + beside.student + beside.teacher))
        yield self._judging("score", test * changed)

    def _part(self, phase: Stage, role: Role, runs: int, demos: int) -> PhaseSpent:
        one = self._plain["student" if role == "student" else "teacher"]
        calls = round(runs * one.calls)
        prompt = round(runs * (one.asked + demos * self._known.demo_tokens))
        said = round(runs * (self._said if role == "student" and demos else one.said))
        seconds = runs * self._seconds
        usd = getattr(self._charges, role).foresee(prompt, said, seconds)
        return PhaseSpent(phase, role, calls, prompt, said, usd if runs else 0.0, seconds)

    def _judging(self, phase: Stage, answers: int) -> PhaseSpent:
        """What a metric that asks a model takes; its time is in the first answers' already."""
        calls, prompt, said = (round(answers * each) for each in self._judged)
        usd = self._charges.teacher.foresee(prompt, said, 0.0) if calls else 0.0
        return PhaseSpent(phase, "teacher", calls, prompt, said, usd, 0.0)


def _judged(known: Foresight) -> tuple[float, float, float]:
    """Calls, prompt and completion tokens that judging an answer took: what its program did not take."""
    answers = list(known.rehearsal.student)
    if known.rehearsal.teacher is not known.rehearsal.student:
        answers += known.rehearsal.teacher
    asked = [part for part in known.spent if part.phase == "check"]
    calls = sum(part.calls for part in asked) - sum(len(answer.steps) for answer in answers)
    if calls <= 0:
        return 0.0, 0.0, 0.0
    prompt = sum(part.prompt_tokens for part in asked) - sum(a.prompt_tokens or 0 for a in answers)
    said = sum(part.completion_tokens for part in asked) - sum(a.completion_tokens or 0 for a in answers)
    return calls / len(answers), max(0, prompt) / len(answers), max(0, said) / len(answers)


class _OneRun:
    """What a run of the unoptimised program takes, from its first answers."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.calls = max(1.0, fmean(len(answer.steps) for answer in answers))
        self.asked = fmean(answer.prompt_tokens or 0 for answer in answers)
        self.said = fmean(answer.completion_tokens or 0 for answer in answers)


def _runs(optimizer: object, known: Foresight) -> Runs:
    if not isinstance(optimizer, Foresees):
        return Runs(demos=UNFORESEEN_DEMOS)
    passed = known.rehearsal.passed or [answer.score > 0 for answer in known.rehearsal.teacher]
    # A rate of 0 after a handful of answers would foretell endless tries.
    pass_rate = (sum(passed) + 1) / (len(passed) + 2)
    return optimizer.expected_runs(known.train, known.dev, pass_rate)


def _sum(parts: Sequence[PhaseSpent]) -> Estimated:
    """The parts together, those of one phase and model as one."""
    merged: dict[tuple[Stage, Role], PhaseSpent] = {}
    for part in parts:
        if part.calls:
            before = merged.get((part.phase, part.role))
            merged[part.phase, part.role] = part if before is None else _both(before, part)
    phases = tuple(merged.values())
    costs = [part.usd for part in phases if part.usd is not None]
    return Estimated(
        calls=sum(part.calls for part in phases),
        prompt_tokens=sum(part.prompt_tokens for part in phases),
        completion_tokens=sum(part.completion_tokens for part in phases),
        seconds=sum(part.seconds for part in phases),
        usd=sum(costs) if len(costs) == len(phases) else None,
        phases=phases,
    )


def _both(one: PhaseSpent, other: PhaseSpent) -> PhaseSpent:
    usd = None if one.usd is None or other.usd is None else one.usd + other.usd
    return PhaseSpent(
        one.phase,
        one.role,
        one.calls + other.calls,
        one.prompt_tokens + other.prompt_tokens,
        one.completion_tokens + other.completion_tokens,
        usd,
        one.seconds + other.seconds,
    )
