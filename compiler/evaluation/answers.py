"""What a program made of examples: one answer each, and what many of them come to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from compiler.evaluation.statistics import mean_interval
from compiler.events import ScoreSummary
from compiler.ledger import RecordedUsage
from programs.execution import Step

Fault = Literal["unparseable", "cut", "check", "too_long", "refused", "program", "metric"]

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class Answer:
    """What the program made of one example."""

    score: float
    outputs: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    fault: Fault | None = None
    error: str | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    """Scores of a weighted metric's parts."""
    feedback: str = ""
    """What the metric, or a failed check, says of it in words."""
    seconds: float | None = None
    """What its calls took when they were made; of calls made together the longest."""

    @property
    def prompt_tokens(self) -> int | None:
        return _total(step.usage.prompt_tokens if step.usage else None for step in self.steps)

    @property
    def completion_tokens(self) -> int | None:
        return _total(step.usage.completion_tokens if step.usage else None for step in self.steps)

    @property
    def usd(self) -> float | None:
        return _total(
            step.usage.usd if isinstance(step.usage, RecordedUsage) else None for step in self.steps
        )


def summarise(answers: Sequence[Answer], seed: int = 0) -> ScoreSummary:
    interval = mean_interval([answer.score for answer in answers], seed)
    faults = [answer.fault for answer in answers]
    return ScoreSummary(
        mean=interval.mean,
        n=len(answers),
        low=interval.low,
        high=interval.high,
        unparseable=faults.count("unparseable"),
        errors=faults.count("program") + faults.count("metric"),
        tokens_per_answer=_mean(answers, lambda answer: answer.completion_tokens),
        usd_per_answer=_mean(answers, lambda answer: answer.usd),
        cut=faults.count("cut"),
        prompt_tokens_per_answer=_mean(answers, lambda answer: answer.prompt_tokens),
        unchecked=faults.count("check"),
        too_long=faults.count("too_long"),
        refused=faults.count("refused"),
        seconds_p50=_quantile(answers, 0.50),
        seconds_p95=_quantile(answers, 0.95),
        parts=_parts(answers),
    )


def _quantile(answers: Sequence[Answer], share: float) -> float | None:
    """The nearest-rank quantile of the seconds of all answers that reached the model."""
    known = sorted(answer.seconds for answer in answers if answer.seconds is not None)
    return known[min(len(known) - 1, int(share * len(known)))] if known else None


def _parts(answers: Sequence[Answer]) -> dict[str, float]:
    """Means over all answers; one that could not be read has earned nothing of any part."""
    names = dict.fromkeys(name for answer in answers for name in answer.parts)
    return {name: sum(answer.parts.get(name, 0.0) for answer in answers) / len(answers) for name in names}


def _mean(answers: Sequence[Answer], amount: Callable[[Answer], float | None]) -> float | None:
    """The mean over all answers that reached the model; None if one of them was not counted."""
    amounts = [amount(answer) for answer in answers if answer.steps]
    known = [value for value in amounts if value is not None]
    return sum(known) / len(known) if known and len(known) == len(amounts) else None


def _total(amounts: Iterable[_Number | None]) -> _Number | None:
    total = None
    for amount in amounts:
        if amount is None:
            return None
        total = amount if total is None else total + amount
    return total
