"""Measures one prediction by any kind of metric: a number, what it is made of, and why.

A metric may be a plain function that gives a number, one that gives `dspy.Prediction(score=, feedback=)` or
a `Measured`, any of them `async`, or an object that measures itself, such as those of `programs.metrics`.
Knows nothing of models but that one can be handed on to a metric that asks it.
"""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from programs.errors import MetricError
from programs.program import Metric

if TYPE_CHECKING:
    import dspy

    from programs.execution import Model


@dataclass(frozen=True)
class Measured:
    """A score from 0 (wrong) to 1 (right), the scores it is made of, and what the answer lacks in words.

    `feedback` is written for a model that has to do better; empty where there is nothing to say.
    """

    score: float
    parts: Mapping[str, float] = field(default_factory=dict)
    feedback: str = ""


@runtime_checkable
class Measurer(Protocol):
    """A metric that says more than a number, or has to ask a model for it."""

    async def measured(
        self, example: dspy.Example, prediction: dspy.Prediction, trace: Any, judge: Model | None
    ) -> Measured: ...


async def measure(
    metric: Metric,
    example: dspy.Example,
    prediction: dspy.Prediction,
    trace: Any = None,
    judge: Model | None = None,
) -> Measured:
    """What the metric says of a prediction; `judge` is the model that a judging metric asks.

    A function gets the judge where it has a parameter of that name.

    Raises:
        MetricError: the metric gives nothing that can be read as a score, or lacks what it needs to judge.
    """
    if isinstance(metric, Measurer):
        return await metric.measured(example, prediction, trace, judge)
    given: dict[str, Any] = {"judge": judge} if "judge" in inspect.signature(metric).parameters else {}
    verdict = metric(example, prediction, trace, **given)
    if inspect.isawaitable(verdict):
        verdict = await verdict
    return read_verdict(metric, verdict)


def read_verdict(metric: Metric, verdict: Any) -> Measured:
    """What a metric returned, as a measurement.

    Raises:
        MetricError: it is neither a number nor anything with a score.
    """
    if isinstance(verdict, Measured):
        return verdict
    score = getattr(verdict, "score", verdict)
    if not isinstance(score, numbers.Real):
        raise MetricError(
            f"the metric {metric_name(metric)!r} gave {verdict!r}: it must give a number from 0 to 1, or a "
            "dspy.Prediction(score=..., feedback=...)"
        )
    return Measured(float(score), feedback=str(getattr(verdict, "feedback", None) or ""))


def metric_name(metric: Metric) -> str:
    """What to call a metric on screen and in evidence; a plain function goes by its own name."""
    return str(getattr(metric, "name", None) or getattr(metric, "__name__", type(metric).__name__))
