"""Metrics for free text, where there is no one right answer: what it mentions, how long it is, how it speaks.

Explanations, summaries and letters are scored by a weighted sum of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor
from typing import TYPE_CHECKING, Any

from programs.comparison import shown
from programs.errors import MetricError, ProgramInvalid
from programs.measuring import Measured
from programs.mentions import count_words, has_words, missing_terms
from programs.metrics import FieldMetric

if TYPE_CHECKING:
    import dspy


def critical_terms(field: str, *terms: str, of: str | None = None, good_enough: float = 1.0) -> FieldMetric:
    """The share of the terms that the output mentions, as whole words in any case.

    With `of`, each example's own terms, from that list field of it, count too. An example without terms has
    none to miss and scores 1.
    """
    if not terms and of is None:
        raise ProgramInvalid(
            f"critical_terms({field!r}) has no terms: give some, or of='a field of the rows'"
        )
    _refuse_empty("critical_terms", field, terms)

    def look(example: dspy.Example, predicted: Any) -> Measured:
        wanted = list(dict.fromkeys([*terms, *_terms_of(example, of)]))
        missing = missing_terms(_text(predicted), wanted)
        if not missing:
            return Measured(1.0)
        lack = f"missing {len(missing)} of {len(wanted)} terms: {_listed(missing)}"
        return Measured(1 - len(missing) / len(wanted), feedback=lack)

    return FieldMetric(f"critical_terms({field})", field, look, good_enough)


def marker_words(
    field: str, *markers: str, enough: int | None = None, good_enough: float = 1.0
) -> FieldMetric:
    """The share of these words, phrases or marks that the output uses, as in "for example", "because", "?".

    With `enough`, so many different ones are all it takes.
    """
    _refuse_empty("marker_words", field, markers)
    if not markers or (enough is not None and not 1 <= enough <= len(markers)):
        raise ProgramInvalid(f"marker_words({field!r}) needs markers, and enough= from 1 to their number")
    wanted = enough or len(markers)

    def look(example: dspy.Example, predicted: Any) -> Measured:
        missing = missing_terms(_text(predicted), markers)
        used = len(markers) - len(missing)
        if used >= wanted:
            return Measured(1.0)
        lack = f"uses {used} of the {wanted} markers it should; not used: {_listed(missing)}"
        return Measured(used / wanted, feedback=lack)

    return FieldMetric(f"marker_words({field})", field, look, good_enough)


def length_ratio(
    field: str, *, words: int | None = None, low: float = 0.8, high: float = 1.25, good_enough: float = 1.0
) -> FieldMetric:
    """1 where the output's length in words is `low` to `high` times the label's, or that of `words`.

    Outside it falls off linearly: to 0 at no words at all, and at twice the longest that is right.
    """
    if not 0 < low <= 1 <= high or (words is not None and words < 1):
        raise ProgramInvalid(f"length_ratio({field!r}) needs 0 < low <= 1 <= high, and words of at least 1")

    def look(example: dspy.Example, predicted: Any) -> Measured:
        length = count_words(_text(predicted))
        label = example[field] if words is None else None
        targets = [words] if words else [count_words(_text(v)) for v in _variants(label, predicted)]
        found = [_length_score(length, target, low, high) for target in targets]
        return max(found, key=lambda measured: measured.score)

    labels = (field,) if words is None else ()
    return FieldMetric(f"length_ratio({field})", field, look, good_enough, labels)


def _length_score(length: int, target: int, low: float, high: float) -> Measured:
    shortest, longest = ceil(low * target), floor(high * target)
    if shortest <= length <= longest:
        return Measured(1.0)
    band = f"{shortest} to {longest} are wanted"
    if length < shortest:
        return Measured(length / shortest, feedback=f"{length} words, {shortest - length} too few: {band}")
    score = max(0.0, 2 - length / longest) if longest else 0.0
    return Measured(score, feedback=f"{length} words, {length - longest} too many: {band}")


def _terms_of(example: dspy.Example, of: str | None) -> list[str]:
    if of is None:
        return []
    if of not in example:
        raise MetricError(f"critical_terms reads the field {of!r} of each row, and this row has none")
    value = example[of]
    terms = value if isinstance(value, list) else [value]
    return [str(term) for term in terms if term is not None and has_words(str(term))]


def _variants(labelled: Any, predicted: Any) -> list[Any]:
    several = isinstance(labelled, list) and labelled and not isinstance(predicted, list)
    return list(labelled) if several else [labelled]


def _text(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _listed(terms: Sequence[str]) -> str:
    return ", ".join(map(shown, terms))


def _refuse_empty(what: str, field: str, terms: Sequence[str]) -> None:
    for term in terms:
        if not has_words(term):
            raise ProgramInvalid(f"{what}({field!r}) can't look for {term!r}: it has no words")
