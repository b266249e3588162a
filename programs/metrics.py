"""Metrics: how right an output is, from 0 to 1. Each factory takes a field's name and gives a `Metric`.

The labelled value may be a list of accepted variants where the output is a single value; the best one counts.
Knows nothing of how a prediction came about.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from programs.errors import ProgramInvalid
from programs.measuring import metric_name, read_verdict
from programs.program import Metric

if TYPE_CHECKING:
    import dspy

Compare = Callable[[object, object], float]
"""Labelled value, predicted value -> score."""


@dataclass(frozen=True)
class FieldMetric:
    """Compares one output with the label of the same name; an output that is missing scores 0.

    While demonstrations are collected (`trace` is given) DSPy asks for yes or no: a score of at least
    `good_enough` is yes.
    """

    name: str
    field: str
    compare: Compare
    good_enough: float = 1.0

    def __call__(self, example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        labelled, predicted = example[self.field], prediction.get(self.field)
        if predicted is None:
            return 0.0
        variants = labelled if isinstance(labelled, list) and not isinstance(predicted, list) else [labelled]
        score = max((self.compare(variant, predicted) for variant in variants), default=0.0)
        return score if trace is None else float(score >= self.good_enough)


@dataclass(frozen=True)
class WeightedSum:
    """The weighted mean of several metrics; its parts' weights need not add up to one."""

    name: str
    parts: tuple[tuple[Metric, float], ...]

    def __call__(self, example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        total = sum(weight for _, weight in self.parts)
        scores = (read_verdict(part, part(example, prediction, trace)).score for part, _ in self.parts)
        return sum(score * weight for score, (_, weight) in zip(scores, self.parts, strict=True)) / total


def exact_match(field: str, *, normalise: bool = False) -> FieldMetric:
    """1 for the same value, else 0; texts are compared without outer white space.

    With `normalise`, case, punctuation, articles and spacing don't count.
    """
    name = f"exact_match({field}{', normalised' if normalise else ''})"
    return FieldMetric(name, field, _same_normalised if normalise else _same)


def numeric_match(field: str) -> FieldMetric:
    """1 for the same number, else 0, whatever its units, currency, thousands commas or form (1/2 = 0.5)."""
    return FieldMetric(f"numeric_match({field})", field, _same_number)


def token_f1(field: str, *, good_enough: float = 0.8) -> FieldMetric:
    """Harmonic mean of token precision and recall after normalisation, as SQuAD and HotpotQA score it."""
    return FieldMetric(f"token_f1({field})", field, _token_f1, good_enough)


def containment(field: str) -> FieldMetric:
    """1 where the predicted text holds the label as whole words, after normalisation, else 0."""
    return FieldMetric(f"containment({field})", field, _contains)


def weighted_sum(*parts: tuple[Metric, float]) -> WeightedSum:
    """The weighted mean of metrics, as in `weighted_sum((exact_match("code"), 3), (token_f1("note"), 1))`."""
    if not parts or any(weight < 0 for _, weight in parts) or not any(weight for _, weight in parts):
        raise ProgramInvalid("weighted_sum needs at least one metric, no negative weight and one above zero")
    names = (f"{weight:g} {metric_name(metric)}" for metric, weight in parts)
    return WeightedSum(" + ".join(names), parts)


_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_text(value: object) -> str:
    """Lower case without punctuation, articles and surplus spaces: the SQuAD evaluation's normalisation."""
    text = str(value).lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


# A mixed number, a fraction, or a decimal with optional thousands commas and exponent.
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_NUMBER = re.compile(
    rf"(?P<sign>(?<![\w.)])-\s?[$€£]?)?"
    rf"(?:(?P<whole>{_DIGITS})\s+(?=\d+\s?/\s?\d))?"
    rf"(?:(?P<over>{_DIGITS})\s?/\s?(?P<under>{_DIGITS})(?![\d.,/]*\d)"
    rf"|(?P<decimal>{_DIGITS}(?:\.\d+)?|\.\d+)(?P<exponent>[eE][+-]?\d{{1,3}}(?!\w))?)"
)
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\{\s*(\d+)\s*\}\{\s*(\d+)\s*\}")


def read_number(value: object) -> Fraction | None:
    """The number in a value: after `####` where there is one, else the last number of the text."""
    if isinstance(value, bool):
        return None
    text = unicodedata.normalize("NFKC", str(value)).replace("−", "-").replace("\u2044", "/")
    text = _LATEX_FRACTION.sub(r" \1/\2", text.rpartition("####")[2])
    found = list(_NUMBER.finditer(text))
    return _as_fraction(found[-1]) if found else None


def _as_fraction(match: re.Match[str]) -> Fraction | None:
    part = {name: text.replace(",", "") for name, text in match.groupdict().items() if text}
    if "decimal" in part:
        number = Fraction(part["decimal"] + part.get("exponent", ""))
    elif Fraction(part["under"]) == 0:
        return None
    else:
        number = Fraction(part.get("whole", 0)) + Fraction(part["over"]) / Fraction(part["under"])
    return -number if "sign" in part else number


def _same(labelled: object, predicted: object) -> float:
    if isinstance(labelled, str) or isinstance(predicted, str):
        return float(str(labelled).strip() == str(predicted).strip())
    return float(labelled == predicted)


def _same_normalised(labelled: object, predicted: object) -> float:
    return float(normalise_text(labelled) == normalise_text(predicted))


def _same_number(labelled: object, predicted: object) -> float:
    expected = read_number(labelled)
    return float(expected is not None and expected == read_number(predicted))


def _token_f1(labelled: object, predicted: object) -> float:
    gold, said = normalise_text(labelled), normalise_text(predicted)
    # HotpotQA: a wrong yes or no earns nothing for words it happens to share.
    if gold != said and {gold, said} & {"yes", "no", "noanswer"}:
        return 0.0
    expected, given = gold.split(), said.split()
    if not expected or not given:
        return float(expected == given)
    shared = sum((Counter(expected) & Counter(given)).values())
    return 2 * shared / (len(expected) + len(given))


def _contains(labelled: object, predicted: object) -> float:
    gold = normalise_text(labelled)
    return float(bool(gold) and f" {gold} " in f" {normalise_text(predicted)} ")
