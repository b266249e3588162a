"""The part of JSON Schema that a client may ask a reply to follow: what OpenAI takes, without patterns.

Schemas come from strangers. One is read whole before anything runs, a keyword that would not be checked is
refused unless the schema may have such, and how much work a check may take is bounded. Nothing is fetched,
compiled or matched: references lead within the schema, and texts are only measured. Knows nothing of
programs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Literal
from urllib.parse import unquote

MOST_SCHEMAS = 2_000  # a schema and all those inside it
DEEPEST = 32
_MOST_STEPS = 50_000
_LONGEST_NAME = 256
_SHOWN = 40  # characters of a name

Schema = Mapping[str, Any] | bool


class SchemaUnusable(ValueError):
    """Its text says where and why, as in "at 'properties/a': ..."."""


class JsonSchema:
    """One schema, read and found usable.

    `root` is what it says of the whole value, `targets` holds what each `$ref` in it leads to.
    """

    def __init__(self, root: object, others: Literal["refuse", "pass_over"] = "refuse") -> None:
        """`others` says what is done with keywords that are not checked. Raises SchemaUnusable."""
        self._others = others
        self._parts: dict[str, Schema] = {}
        self._references: set[str] = set()
        self.root = self._read(root, "#")
        self.targets = {reference: self._target(reference) for reference in self._references}

    def problem(self, value: Any, schema: Schema | None = None) -> str | None:
        """Where and how a JSON value breaks the schema, or a part of it; never what the value is.

        Raises:
            SchemaUnusable: to find out would take too much work.
        """
        return _Check(self).problem(self.root if schema is None else schema, value, "")

    def _target(self, reference: str) -> Schema:
        found = self._parts.get(unquote(reference))
        if found is None:
            raise SchemaUnusable(f"{reference[:80]!r} leads to no schema in it")
        return found

    def _read(self, schema: object, pointer: str, depth: int = 0) -> Schema:
        """Takes in a schema and those inside it, each under its JSON pointer."""
        if isinstance(schema, bool):
            self._parts[pointer] = schema
            return schema
        if not isinstance(schema, Mapping):
            raise SchemaUnusable(f"{_at(pointer)}a schema must be an object, true or false")
        self._parts[pointer] = schema
        if len(self._parts) > MOST_SCHEMAS or depth > DEEPEST:
            raise SchemaUnusable(f"it may have {MOST_SCHEMAS:,} parts in {DEEPEST} levels at most")
        for keyword, argument in schema.items():
            wanted = _WANTED.get(keyword)
            if wanted is None and self._others == "pass_over":
                continue
            if wanted is None:
                raise SchemaUnusable(f"{_at(pointer)}{keyword[:_SHOWN]!r} is not supported here")
            if not wanted[0](argument):
                raise SchemaUnusable(f"{_at(pointer)}{keyword!r} must be {wanted[1]}")
            if keyword == "$ref":
                self._references.add(argument)
            for inner, within in _schemas_in(keyword, argument):
                self._read(inner, f"{pointer}/{within}", depth + 1)
        return schema


class _Check:
    """One value against one schema."""

    def __init__(self, schema: JsonSchema) -> None:
        self._schema = schema
        self._steps = 0
        self._depth = 0

    def problem(self, schema: Schema, value: Any, place: str) -> str | None:
        if isinstance(schema, bool):
            return None if schema else f"{_at(place)}nothing is allowed"
        self._step(1)
        self._depth += 1
        if self._depth > 2 * DEEPEST:
            raise SchemaUnusable("it refers to itself without end")
        try:
            return self._first_problem(schema, value, place)
        finally:
            self._depth -= 1

    def _first_problem(self, schema: Mapping[str, Any], value: Any, place: str) -> str | None:
        for keyword, argument in schema.items():
            found = self._keyword(keyword, argument, value, schema, place)
            if found is not None:
                return found
        return None

    def _keyword(self, keyword: str, argument: Any, value: Any, schema: Any, place: str) -> str | None:
        if keyword in _SIMPLE:
            self._step(len(argument) if isinstance(argument, list) else 1)
            return None if _SIMPLE[keyword](argument, value) else f"{_at(place)}it breaks {keyword!r}"
        problems: Iterator[str | None] = iter(())
        match keyword:
            case "$ref":
                return self.problem(self._schema.targets[argument], value, place)
            case "allOf":
                problems = (self.problem(inner, value, place) for inner in argument)
            case "anyOf" | "oneOf":
                most = len(argument) if keyword == "anyOf" else 1
                fitting = sum(self.problem(inner, value, place) is None for inner in argument)
                return None if 1 <= fitting <= most else f"{_at(place)}it breaks {keyword!r}"
            case "items" if isinstance(value, list):
                problems = (self.problem(argument, item, f"{place}/{at}") for at, item in enumerate(value))
            case "properties" if isinstance(value, Mapping):
                named = [(name, inner) for name, inner in argument.items() if name in value]
                problems = (self.problem(inner, value[name], _within(place, name)) for name, inner in named)
            case "additionalProperties" if isinstance(value, Mapping):
                others = [name for name in value if name not in schema.get("properties", ())]
                problems = (self.problem(argument, value[name], _within(place, name)) for name in others)
        return next(filter(None, problems), None)

    def _step(self, steps: int) -> None:
        self._steps += steps
        if self._steps > _MOST_STEPS:
            raise SchemaUnusable("checking a value against it takes too much work")


def is_of(kind: str, value: Any) -> bool:
    """Whether a JSON value is of one of JSON Schema's types."""
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, Mapping)
        case "integer":
            return _is_number(value) and (isinstance(value, int) or value.is_integer())
        case _:
            return _is_number(value)


def kinds_of(argument: Any) -> list[str]:
    """What `type` names: one type or several."""
    return [argument] if isinstance(argument, str) else list(argument)


def _within(place: str, name: str) -> str:
    return f"{place}/{name[:_SHOWN]}"


def _at(place: str) -> str:
    """Where a sentence about a place begins; nowhere for the whole."""
    inside = place.removeprefix("#")
    return f"at {inside[1:]!r}: " if inside else ""


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _are_kinds(value: Any) -> bool:
    return isinstance(value, str | list) and bool(value) and all(kind in _KINDS for kind in kinds_of(value))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def same_json(one: Any, other: Any) -> bool:
    """JSON's equality: 1 is 1.0, and true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(
            same_json(value, other[name]) for name, value in one.items()
        )
    return bool(one == other)


def _schemas_in(keyword: str, argument: Any) -> Iterator[tuple[Any, str]]:
    """The schemas in a keyword's argument, and where, as a JSON pointer has it."""
    if keyword in ("$defs", "definitions", "properties"):
        for name, inner in argument.items():
            if len(name) > _LONGEST_NAME:
                raise SchemaUnusable(f"a name may have {_LONGEST_NAME} characters at most")
            escaped = name.replace("~", "~0").replace("/", "~1")
            yield inner, f"{keyword}/{escaped}"
    elif keyword in ("anyOf", "allOf", "oneOf"):
        for number, inner in enumerate(argument):
            yield inner, f"{keyword}/{number}"
    elif keyword in ("items", "additionalProperties"):
        yield argument, keyword


_KINDS = ("null", "boolean", "object", "array", "number", "string", "integer")
_Test = tuple[Callable[[Any], bool], str]
_ANYTHING: _Test = (lambda value: True, "anything")
_COUNT: _Test = (_is_count, "a whole number from 0")
_NUMBER: _Test = (_is_number, "a number")
_SCHEMAS: _Test = (lambda value: isinstance(value, list) and bool(value), "an array of schemas")
_NAMED: _Test = (lambda value: isinstance(value, Mapping), "an object of schemas")

_WANTED: Mapping[str, _Test] = {
    "type": (_are_kinds, f"one or several of {', '.join(_KINDS)}"),
    "enum": (lambda value: isinstance(value, list) and bool(value), "an array of values"),
    "const": _ANYTHING,
    "$ref": (lambda value: isinstance(value, str), "a text"),
    "anyOf": _SCHEMAS, "allOf": _SCHEMAS, "oneOf": _SCHEMAS,
    "properties": _NAMED, "$defs": _NAMED, "definitions": _NAMED,
    "items": _ANYTHING, "additionalProperties": _ANYTHING,
    "required": (
        lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
        "an array of names",
    ),
    "minItems": _COUNT, "maxItems": _COUNT, "minLength": _COUNT, "maxLength": _COUNT,
    "minimum": _NUMBER, "maximum": _NUMBER, "exclusiveMinimum": _NUMBER, "exclusiveMaximum": _NUMBER,
    "multipleOf": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    **dict.fromkeys(
        ("title", "description", "default", "examples", "format", "deprecated", "readOnly", "writeOnly",
         "$schema", "$comment"),
        _ANYTHING,
    ),
}  # fmt: skip
"""Every keyword that is known, and what it takes. Those of the last lines say nothing of a value."""

_SIMPLE: Mapping[str, Callable[[Any, Any], bool]] = {
    "type": lambda kinds, value: any(is_of(kind, value) for kind in kinds_of(kinds)),
    "enum": lambda members, value: any(same_json(member, value) for member in members),
    "const": lambda member, value: same_json(member, value),
    "required": lambda names, value: not isinstance(value, Mapping) or all(name in value for name in names),
    "minItems": lambda count, value: not isinstance(value, list) or len(value) >= count,
    "maxItems": lambda count, value: not isinstance(value, list) or len(value) <= count,
    "minLength": lambda count, value: not isinstance(value, str) or len(value) >= count,
    "maxLength": lambda count, value: not isinstance(value, str) or len(value) <= count,
    "minimum": lambda bound, value: not _is_number(value) or value >= bound,
    "maximum": lambda bound, value: not _is_number(value) or value <= bound,
    "exclusiveMinimum": lambda bound, value: not _is_number(value) or value > bound,
    "exclusiveMaximum": lambda bound, value: not _is_number(value) or value < bound,
    "multipleOf": lambda step, value: not _is_number(value) or _exact(value) % _exact(step) == 0,
}


def _exact(number: float) -> Fraction:
    """A number as it is written: 0.3 is a multiple of 0.1."""
    return Fraction(json.dumps(number))
