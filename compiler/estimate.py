"""What a build will about take, told before it is paid for.

Knows no optimiser by name: one that can foresee its runs says so itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple, Protocol, runtime_checkable

import dspy

from compiler.charge import Charge
from compiler.errors import CeilingExceeded
from compiler.events import Estimated
from compiler.rehearsal import Rehearsal

CHARACTERS_PER_TOKEN = 4  # English text, roughly; only what demonstrations add is guessed with it


class Runs(NamedTuple):
    """Runs of the teacher and of the student, and how many demonstrations a prompt shows at most."""

    taught: int = 0
    scored: int = 0
    demos: int = 0


@runtime_checkable
class Foresees(Protocol):
    """An optimiser that can tell what it will ask; of the teacher's runs, `pass_rate` will pass."""

    def expected_runs(self, train: int, dev: int, pass_rate: float) -> Runs: ...


class Foresight(NamedTuple):
    """What is known when the estimate is made."""

    train: Sequence[dspy.Example]
    dev: int
    test: int
    rehearsal: Rehearsal


def estimate(optimizer: object, known: Foresight, charge: Charge) -> Estimated | None:
    """About what the build will take; None for an optimiser that can't tell."""
    if not isinstance(optimizer, Foresees):
        return None
    answers, taught, seconds = known.rehearsal
    # A rate of 0 after a handful of answers would foretell endless tries.
    pass_rate = (sum(answer.score > 0 for answer in taught) + 1) / (len(taught) + 2)
    runs = optimizer.expected_runs(len(known.train), known.dev, pass_rate)
    calls_per_run = max(1.0, fmean(len(answer.steps) for answer in answers))
    compiled = runs.taught + runs.scored + known.test
    calls = round((compiled + known.test) * calls_per_run)
    asked = fmean(answer.prompt_tokens or 0 for answer in answers)
    said = fmean(answer.completion_tokens or 0 for answer in answers)
    shown = runs.demos * (fmean(map(_length, known.train)) / CHARACTERS_PER_TOKEN + said)
    prompt_tokens = round((compiled + known.test) * asked + compiled * shown)
    completion_tokens = round((compiled + known.test) * said)
    seconds *= calls / max(1, sum(len(answer.steps) for answer in answers))
    usd = charge.foresee(prompt_tokens, completion_tokens, seconds)
    return Estimated(calls, prompt_tokens, completion_tokens, seconds, usd)


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


def _length(example: dspy.Example) -> int:
    return sum(len(str(value)) for value in dict(example.items()).values())
