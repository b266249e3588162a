"""A DSPy signature's fields as a plan declares them.

Knows the types that a release can carry; what else a signature may hold has no place in one.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import dspy
from pydantic.fields import FieldInfo

from programs.errors import LoweringImpossible
from programs.plan import Field, FieldType

_TYPES: dict[object, FieldType] = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    list[str]: "list[str]",
    list[int]: "list[int]",
    list[float]: "list[float]",
    dspy.History: "history",
    list[dspy.Tool]: "tools",
    dspy.Tool: "tool",
    dspy.ToolCalls: "tool_calls",
}


class SignatureFields(NamedTuple):
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]


def signature_fields(signature: type[dspy.Signature]) -> SignatureFields:
    """Inputs and outputs in their order.

    Raises:
        LoweringImpossible: a field's type is none that a plan knows; names the field and the types.
    """
    return SignatureFields(
        tuple(_field(name, info) for name, info in signature.input_fields.items()),
        tuple(_field(name, info) for name, info in signature.output_fields.items()),
    )


def _field(name: str, info: FieldInfo) -> Field:
    default = None if info.is_required() else info.get_default(call_default_factory=True, validated_data={})
    return field_of(name, info.annotation, info.is_required(), default)


def field_of(name: str, declared: Any, required: bool, default: Any = None) -> Field:
    """A field of a declared type; one that may be None is not required.

    Raises:
        LoweringImpossible: a plan knows no such type.
    """
    annotation, optional = _without_none(declared)
    required = required and not optional
    if get_origin(annotation) is Literal and all(isinstance(choice, str) for choice in get_args(annotation)):
        return Field(name, "literal", get_args(annotation), required, default)
    if annotation not in _TYPES:
        known = ", ".join([*_TYPES.values(), "Literal of texts"])
        raise LoweringImpossible(f"field {name!r} has type {declared}; a plan knows {known}")
    return Field(name, _TYPES[annotation], (), required, default)


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """`X | None` as X and True."""
    parts = [part for part in get_args(annotation) if part is not NoneType]
    if get_origin(annotation) in (Union, UnionType) and len(parts) == 1:
        return parts[0], True
    return annotation, False
