"""A whole answer as it is kept: a program's outputs as JSON, and what they cost when they were made.

Only what is complete is written: an answer that was cut, or that JSON can't give back as it was, is not.
What is read is checked, because others may write where it is kept.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from programs.execution import Outcome
from programs.json_values import JsonUnusable, read_json, write_json
from programs.plan import Field
from programs.reader import FieldDelta

_FORMAT = 1
_PIECE = re.compile(r".{1,24}\S{0,24}\s*", re.DOTALL)


class KeptInvalid(ValueError):
    """What was read is no answer of this program; its text says why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """`usd` is None where the cost can't be known."""

    outputs: dict[str, Any]
    usd: float | None

    @property
    def outcome(self) -> Outcome:
        """No steps were taken for it this time."""
        return Outcome(self.outputs, ())


def pieces_of(outputs: Mapping[str, Any], fields: Sequence[Field]) -> Iterator[FieldDelta]:
    """The texts of a whole answer as a stream has them, a few words at a time."""
    for field in fields:
        value = outputs.get(field.name)
        if field.type == "str" and isinstance(value, str):
            yield from (FieldDelta(field.name, text) for text in _PIECE.findall(value))


def write_kept(outcome: Outcome, usd: float | None) -> bytes | None:
    """The answer as bytes; None where it is not one to be kept."""
    if not outcome.complete or outcome.finish_reason != "stop":
        return None
    try:
        data = write_json({"format": _FORMAT, "outputs": dict(outcome.outputs), "usd": usd})
        return data if write_json(read_json(data)) == data else None
    except (TypeError, ValueError):
        return None


def read_kept(data: bytes, fields: Sequence[Field]) -> Kept:
    """Raises KeptInvalid."""
    try:
        value = read_json(data)
    except JsonUnusable as error:
        raise KeptInvalid(f"it {error}") from error
    if not isinstance(value, dict) or value.keys() != {"format", "outputs", "usd"}:
        raise KeptInvalid("it is no kept answer")
    outputs, usd = value["outputs"], value["usd"]
    if value["format"] != _FORMAT or not isinstance(outputs, dict):
        raise KeptInvalid(f"it is of the format {value['format']!r}")
    if not outputs.keys() <= {field.name for field in fields}:
        raise KeptInvalid("it has outputs that the program does not have")
    priced = isinstance(usd, int | float) and not isinstance(usd, bool) and math.isfinite(usd) and usd >= 0
    if usd is not None and not priced:
        raise KeptInvalid("its cost is no amount")
    return Kept(outputs, usd)
