"""Reducers: several members' answers become one. Another one is a function and a line in `REDUCERS`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from programs.plan import Field

NUMBERS = ("int", "float")


class Vote(NamedTuple):
    """The one answer, and the place of the member whose other outputs go with it."""

    answer: Any
    winner: int


Reducer = Callable[[Field, Sequence[Any]], Vote]
"""The answer's field and at least one answer, in the order of the members -> the vote."""


def majority(field: Field, answers: Sequence[Any]) -> Vote:
    """The answer most members give, in the words of the first of them; of equals the earliest member's.

    Case, white space and a full stop at the end make no other answer of a text.
    """
    voices = [_alike(answer) for answer in answers]
    count = Counter(voices)
    winner = min(range(len(answers)), key=lambda place: (-count[voices[place]], place))
    return Vote(answers[winner], winner)


def first(field: Field, answers: Sequence[Any]) -> Vote:
    """The answer of the first member that gave one."""
    return Vote(answers[0], 0)


def mean(field: Field, answers: Sequence[Any]) -> Vote:
    """The mean of numbers, a whole one where the output is; the member nearest to it wins."""
    finite = {place: Fraction(answer) for place, answer in enumerate(answers) if _is_finite(answer)}
    if not finite:
        return first(field, answers)
    value = sum(finite.values(), Fraction()) / len(finite)
    winner = min(finite, key=lambda place: (abs(finite[place] - value), place))
    return Vote(round(value) if field.type == "int" else float(value), winner)


REDUCERS: Mapping[str, Reducer] = {"majority": majority, "first": first, "mean": mean}


def refusal(reducer: str, field: Field) -> str | None:
    """Why answers of this field can't be reduced so; None where they can."""
    if reducer not in REDUCERS:
        return f"there is no reducer {reducer!r}: known are {', '.join(REDUCERS)}"
    if field.type == "tool_calls":
        return f"no reducer can vote on calls of tools, which output {field.name!r} holds"
    if reducer == "mean" and field.type not in NUMBERS:
        return f"reducer 'mean' needs a number, output {field.name!r} is {field.type}"
    return None


def _alike(answer: Any) -> Hashable:
    if isinstance(answer, str):
        return " ".join(answer.casefold().split()).rstrip(".")
    return tuple(map(_alike, answer)) if isinstance(answer, list) else answer


def _is_finite(answer: float) -> bool:
    # A whole number may be larger than any float.
    return isinstance(answer, int) or math.isfinite(answer)
