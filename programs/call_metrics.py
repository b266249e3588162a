"""How right a program's calls of tools are, from 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from programs.comparison import shown
from programs.json_schema import same_json
from programs.measuring import Measured
from programs.metrics import FieldMetric
from programs.tools import Call, call_variants, read_calls

if TYPE_CHECKING:
    import dspy


def calls_match(field: str) -> FieldMetric:
    """1 where the same tools are called with the same arguments, in whichever order, else 0.

    Arguments are the same as JSON has it: 1 is 1.0. The label may be in any form that rows hold calls in,
    or a list of such that would all do.
    """

    def look(example: dspy.Example, predicted: Any) -> Measured:
        labelled = call_variants(_as_json(example[field]))
        variants = [read_calls(one) for one in (labelled if isinstance(labelled, list) else [labelled])]
        said = read_calls(_as_json(predicted))
        if any(_same(expected, said) for expected in variants):
            return Measured(1.0)
        return Measured(0.0, feedback=_lack(variants[0], said))

    return FieldMetric(f"calls_match({field})", field, look, labels=(field,))


def _as_json(value: Any) -> Any:
    """DSPy's own `ToolCalls` as JSON has them."""
    return value.model_dump() if hasattr(value, "model_dump") else value


def _same(expected: Sequence[Call], said: Sequence[Call]) -> bool:
    left = list(expected)
    for call in said:
        at = next((place for place, one in enumerate(left) if same_json(one._asdict(), call._asdict())), None)
        if at is None:
            return False
        del left[at]
    return not left


def _lack(expected: Sequence[Call], said: Sequence[Call]) -> str:
    return f"expected {_told(expected)}, got {_told(said)}"


def _told(calls: Sequence[Call]) -> str:
    return shown([f"{call.name}({call.args})" for call in calls]) if calls else "no calls"
