"""Metrics: how right an output is, from 0 to 1. Each factory takes a field's name and gives a `Metric`.

The labelled value may be a list of accepted variants where the output is a single value; the best one counts.
Every metric also says in words what a score lacks, for an optimiser that rewrites instructions. Knows nothing
of how a prediction came about.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from programs.comparison import (
    contains,
    lacking,
    same,
    same_normalised,
    same_number,
    shared_words,
    unlike,
    unlike_number,
    unlike_words,
)
from programs.errors import MetricError, ProgramInvalid
from programs.measuring import Measured, measure, metric_name, read_verdict
from programs.program import Metric

if TYPE_CHECKING:
    import dspy

    from programs.execution import Model

Compare = Callable[[object, object], float]
"""Labelled value, predicted value -> score."""
Lack = Callable[[object, object], str]
"""Labelled value, predicted value -> what the prediction lacks."""
Look = Callable[["dspy.Example", Any], Measured]
"""The example, the predicted value -> its measurement."""


@dataclass(frozen=True)
class FieldMetric:
    """Looks at one output; one that is missing scores 0.

    While demonstrations are collected (`trace` is given) DSPy asks for yes or no: a score of at least
    `good_enough` is yes.
    """

    name: str
    field: str
    look: Look
    good_enough: float = 1.0
    labels: tuple[str, ...] = ()
    """Fields that a row must have for it to be scored."""

    def __call__(self, example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        return yes_or_no(self._measured(example, prediction), self.good_enough, trace).score

    async def measured(
        self, example: dspy.Example, prediction: dspy.Prediction, trace: Any, judge: Model | None
    ) -> Measured:
        return yes_or_no(self._measured(example, prediction), self.good_enough, trace)

    def _measured(self, example: dspy.Example, prediction: dspy.Prediction) -> Measured:
        predicted = prediction.get(self.field)
        if predicted is None:
            return Measured(0.0, feedback=f"{self.field}: there is none")
        found = self.look(example, predicted)
        return replace(found, feedback=f"{self.field}: {found.feedback}" if found.feedback else "")


@dataclass(frozen=True)
class WeightedSum:
    """The weighted mean of several metrics; its parts' weights need not add up to one.

    While demonstrations are collected, a mean of at least `good_enough` is yes.
    """

    name: str
    parts: tuple[tuple[Metric, float], ...]
    good_enough: float = 0.8

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of its parts."""
        return tuple(dict.fromkeys(name for part, _ in self.parts for name in labels_of(part)))

    def __call__(self, example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        """The score, where no part asks a model; `programs.measuring.measure` takes those that do."""
        return self._mean([_at_once(part, example, prediction) for part, _ in self.parts], trace).score

    async def measured(
        self, example: dspy.Example, prediction: dspy.Prediction, trace: Any, judge: Model | None
    ) -> Measured:
        found = [await measure(part, example, prediction, None, judge) for part, _ in self.parts]
        return self._mean(found, trace)

    def _mean(self, found: Sequence[Measured], trace: Any) -> Measured:
        total = sum(weight for _, weight in self.parts)
        parts: dict[str, float] = {}
        lines = []
        for (metric, weight), part in zip(self.parts, found, strict=True):
            name, share = metric_name(metric), weight / total
            _add_part(parts, name, part.score)
            for inner, score in part.parts.items():
                _add_part(parts, inner, score)
            if part.score < 1 and weight:
                lines.append(f"{name} lost {share * (1 - part.score):.2f} of {share:.2f}. {part.feedback}")
        score = sum(part.score * weight for part, (_, weight) in zip(found, self.parts, strict=True)) / total
        return yes_or_no(
            Measured(score, parts, "\n".join(line.strip() for line in lines)), self.good_enough, trace
        )


def labels_of(metric: Metric) -> tuple[str, ...]:
    """The fields that a metric says it reads of a row as labels; a plain function says none."""
    return tuple(getattr(metric, "labels", ()))


def yes_or_no(found: Measured, good_enough: float, trace: Any) -> Measured:
    """The measurement as it is, or as the yes or no that DSPy wants while it collects demonstrations."""
    return found if trace is None else replace(found, score=float(found.score >= good_enough))


def exact_match(field: str, *, normalise: bool = False) -> FieldMetric:
    """1 for the same value, else 0; texts are compared without outer white space.

    With `normalise`, case, punctuation, articles and spacing don't count.
    """
    name = f"exact_match({field}{', normalised' if normalise else ''})"
    look = _against_label(field, same_normalised if normalise else same, unlike)
    return FieldMetric(name, field, look, labels=(field,))


def numeric_match(field: str) -> FieldMetric:
    """1 for the same number, else 0, whatever its units, currency, thousands commas or form (1/2 = 0.5)."""
    look = _against_label(field, same_number, unlike_number)
    return FieldMetric(f"numeric_match({field})", field, look, labels=(field,))


def token_f1(field: str, *, good_enough: float = 0.8) -> FieldMetric:
    """Harmonic mean of token precision and recall after normalisation, as SQuAD and HotpotQA score it."""
    look = _against_label(field, shared_words, unlike_words)
    return FieldMetric(f"token_f1({field})", field, look, good_enough, (field,))


def containment(field: str) -> FieldMetric:
    """1 where the predicted text holds the label as whole words, after normalisation, else 0."""
    return FieldMetric(
        f"containment({field})", field, _against_label(field, contains, lacking), labels=(field,)
    )


def weighted_sum(*parts: tuple[Metric, float], name: str = "", good_enough: float = 0.8) -> WeightedSum:
    """The weighted mean of metrics, as in `weighted_sum((exact_match("code"), 3), (token_f1("note"), 1))`."""
    if not parts or any(weight < 0 for _, weight in parts) or not any(weight for _, weight in parts):
        raise ProgramInvalid("weighted_sum needs at least one metric, no negative weight and one above zero")
    names = (f"{weight:g} {metric_name(metric)}" for metric, weight in parts)
    return WeightedSum(name or " + ".join(names), parts, good_enough)


def _at_once(metric: Metric, example: dspy.Example, prediction: dspy.Prediction) -> Measured:
    verdict = metric(example, prediction, None)
    if inspect.isawaitable(verdict):
        if isinstance(verdict, Coroutine):
            verdict.close()
        raise MetricError(
            f"the metric {metric_name(metric)!r} is async: await programs.measuring.measure(...) instead"
        )
    return read_verdict(metric, verdict)


def _add_part(parts: dict[str, float], name: str, score: float) -> None:
    """Two parts of the same name stay two."""
    number = 2
    key = name
    while key in parts:
        key, number = f"{name} ({number})", number + 1
    parts[key] = score


def _against_label(field: str, compare: Compare, lack: Lack) -> Look:
    def look(example: dspy.Example, predicted: Any) -> Measured:
        labelled = example[field]
        variants = labelled if isinstance(labelled, list) and not isinstance(predicted, list) else [labelled]
        if not variants:
            return Measured(0.0, feedback="its label is an empty list, which nothing matches")
        scores = [compare(variant, predicted) for variant in variants]
        score = max(scores)
        if score >= 1:
            return Measured(score)
        return Measured(score, feedback=lack(variants[scores.index(score)], predicted) + _others(variants))

    return look


def _others(variants: Sequence[object]) -> str:
    return f" ({len(variants) - 1} more answers would do)" if len(variants) > 1 else ""
