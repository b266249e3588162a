"""What a build will about take, told before it is paid for.

Knows no optimiser by name: one that can foresee its runs says so itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple, Protocol, runtime_checkable

import dspy

from compiler.answers import Answer
from compiler.charge import Charge, Charges
from compiler.errors import CeilingExceeded
from compiler.events import Estimated
from compiler.rehearsal import Rehearsal

CHARACTERS_PER_TOKEN = 4  # English text, roughly; only what demonstrations add is guessed with it


class Runs(NamedTuple):
    """Runs of the teacher and of the student, and how many demonstrations a prompt shows at most.

    `members` is how many runs one answer of the found program takes, `proposed` how many calls the proposer
    gets to write instructions.
    """

    taught: int = 0
    scored: int = 0
    demos: int = 0
    members: int = 1
    proposed: int = 0


@runtime_checkable
class Foresees(Protocol):
    """An optimiser that can tell what it will ask; of the teacher's runs, `pass_rate` will pass."""

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs: ...


class Beside(NamedTuple):
    """How many programs are measured beside the plain and the compiled one, by the model they run on."""

    student: int = 0
    teacher: int = 0


NOBODY = Beside()


class Foresight(NamedTuple):
    """What is known when the estimate is made."""

    train: Sequence[dspy.Example]
    dev: int
    test: int
    rehearsal: Rehearsal
    beside: Beside = NOBODY


def estimate(optimizer: object, known: Foresight, charges: Charges) -> Estimated | None:
    """About what the build will take; None for an optimiser that can't tell."""
    if not isinstance(optimizer, Foresees):
        return None
    answers, taught, seconds = known.rehearsal
    # A rate of 0 after a handful of answers would foretell endless tries.
    pass_rate = (sum(answer.score > 0 for answer in taught) + 1) / (len(taught) + 2)
    runs = optimizer.expected_runs(len(known.train), known.dev, pass_rate)
    one = _OneRun(answers, seconds, runs.demos * fmean(map(_length, known.train)) / CHARACTERS_PER_TOKEN)
    measured = known.test * (runs.members + known.beside.student)
    plain, shown = one.times(known.test, 0), one.times(runs.scored + measured, runs.demos)
    teaching = one.times(runs.taught, runs.demos)
    every = [plain, shown, teaching, one.times(known.test * known.beside.teacher, 0)]
    charged = (charges.student, charges.student, charges.teacher, charges.teacher)
    usd = [_usd(charge, part) for charge, part in zip(charged, every, strict=True)]
    return Estimated(
        calls=sum(part.calls for part in every),
        prompt_tokens=sum(part.prompt_tokens for part in every),
        completion_tokens=sum(part.completion_tokens for part in every),
        seconds=sum(part.seconds for part in every),
        usd=None if None in usd else sum(amount or 0.0 for amount in usd),
    )


def refuse_above(max_usd: float | None, expected: Estimated | None, spent_usd: float | None) -> None:
    """Raises CeilingExceeded when the build would cost more than allowed, or nobody knows what it costs."""
    if max_usd is None or expected is None:
        return
    if expected.usd is None or spent_usd is None:
        raise CeilingExceeded(
            f"a ceiling of {max_usd:g} USD can't be kept: the engine's price is unknown; give it "
            "usd_per_hour or prices per million tokens in smallforge.toml, or leave the ceiling away"
        )
    if expected.usd > max_usd:
        raise CeilingExceeded(
            f"the build would cost about {expected.usd:.4f} USD ({expected.calls} calls), the ceiling is "
            f"{max_usd:g} USD; raise it, or ask for fewer candidates or examples"
        )


class _OneRun:
    """What a run of the program takes, from its first answers; `shown` tokens of demonstrations' inputs."""

    def __init__(self, answers: Sequence[Answer], seconds: float, shown: float) -> None:
        self._calls = max(1.0, fmean(len(answer.steps) for answer in answers))
        self._seconds = seconds / len(answers)
        self._asked = fmean(answer.prompt_tokens or 0 for answer in answers)
        self._said = fmean(answer.completion_tokens or 0 for answer in answers)
        self._shown = shown

    def times(self, runs: int, demos: int) -> Estimated:
        prompt = self._asked + (self._shown + demos * self._said if demos else 0)
        calls = round(runs * self._calls)
        return Estimated(calls, round(runs * prompt), round(runs * self._said), runs * self._seconds, None)


def _usd(charge: Charge, part: Estimated) -> float | None:
    return charge.foresee(part.prompt_tokens, part.completion_tokens, part.seconds)


def _length(example: dspy.Example) -> int:
    return sum(len(str(value)) for value in dict(example.items()).values())
