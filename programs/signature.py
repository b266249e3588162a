"""A DSPy signature's fields as a plan declares them.

Knows the types that a release can carry; what else a signature may hold has no place in one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, EnumType
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import dspy
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from programs.declared_types import schema_of
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
        tuple(_field(name, info, written=True) for name, info in signature.output_fields.items()),
    )


def _field(name: str, info: FieldInfo, written: bool = False) -> Field:
    default = None if info.is_required() else info.get_default(call_default_factory=True, validated_data={})
    return field_of(name, info.annotation, info.is_required(), default, written)


def field_of(name: str, declared: Any, required: bool, default: Any = None, written: bool = False) -> Field:
    """A field of a declared type; one that may be None is not required, and one that is written may say so.

    Raises:
        LoweringImpossible: a plan can hold no such type.
    """
    annotation, optional = _without_none(declared)
    required = required and not optional
    if get_origin(annotation) is Literal and written and optional:
        return Field(name, "json", (), required, default, schema=schema_of(name, declared))
    if get_origin(annotation) is Literal and all(isinstance(choice, str) for choice in get_args(annotation)):
        return Field(name, "literal", get_args(annotation), required, default)
    if annotation in _TYPES and (annotation is str or not (written and optional)):
        return Field(name, _TYPES[annotation], (), required, default)
    if isinstance(annotation, EnumType) and not (written and optional):
        return _enum(name, annotation, required, default)
    if get_origin(annotation) is Literal:
        raise LoweringImpossible(f"field {name!r} has type {declared}; a plan's choices are texts")
    if str in get_args(declared) and NoneType in get_args(declared):
        raise LoweringImpossible(f"field {name!r} has type {declared}, of which every reply is a text")
    if isinstance(default, BaseModel | Enum):
        default = to_jsonable_python(default)
    kept = declared if written else annotation
    return Field(name, "json", (), required, default, schema=schema_of(name, kept))


def _enum(name: str, declared: EnumType, required: bool, default: Any) -> Field:
    known: Mapping[str, Enum] = declared.__members__
    values = [member.value for member in known.values()]
    if not all(isinstance(value, str) for value in values) or len({*values}) < len(values):
        raise LoweringImpossible(f"field {name!r} has type {declared}; a plan's choices are texts, each once")
    first = default.value if isinstance(default, Enum) else default
    return Field(name, "enum", tuple(values), required, first, names=tuple(known))


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """`X | None` as X and True."""
    parts = [part for part in get_args(annotation) if part is not NoneType]
    if get_origin(annotation) in (Union, UnionType) and len(parts) == 1:
        return parts[0], True
    return annotation, False
