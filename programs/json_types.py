"""Types that are data: a JSON Schema whose values are read as pydantic reads the type that it was made from.

A release may hold one, so everything about it is bounded, and nothing that it does not need is allowed. Knows
nothing of DSPy or of plans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import CoreSchema, SchemaError, SchemaValidator, core_schema

MOST_PARTS = 500
DEEPEST = 24
ORDER = "propertyOrdering"
"""Keyword for the order of an object's properties, in which their values are shown."""
_SHOWN = 60  # characters of a place
_LEFT_ALONE = frozenset({"title", "description", "default", "examples"})


class TypeUnusable(ValueError):
    """Its text says what of the schema can't be used."""


class Unfit(ValueError):
    """A value that is none of the type's; its text says where and why, never what the value is."""


class JsonType:
    """One such type. Raises TypeUnusable."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        reader = _Reader(schema.get("$defs", {}))
        root = reader.read({key: value for key, value in schema.items() if key != "$defs"}, 0)
        parts = [reader.read(part, 1, name) for name, part in reader.named.items()]
        try:
            self._validator = SchemaValidator(core_schema.definitions_schema(root, parts) if parts else root)
        except SchemaError as error:
            raise TypeUnusable(f"it can't be used: {str(error).splitlines()[0][:200]}") from error

    def read(self, value: Any) -> Any:
        """A value as a model writes it: "3" is a number where one is wanted. Raises Unfit."""
        return self._checked(value, strict=False)

    def complete(self, value: Any) -> Any:
        """A value as JSON has it, with the defaults of what it leaves out. Raises Unfit."""
        return self._checked(value, strict=True)

    def _checked(self, value: Any, strict: bool) -> Any:
        try:
            return self._validator.validate_python(value, strict=strict)
        except ValidationError as error:
            raise Unfit(told(error)) from error


def told(error: ValidationError) -> str:
    """The first of pydantic's complaints as the end of a sentence."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, found["loc"]))[:_SHOWN]
    said = found["msg"][:1].lower() + found["msg"][1:200]
    return f"at {place!r} {said}" if place else said


class _Reader:
    """Turns schemas into what pydantic checks with; every keyword is known here or refused."""

    def __init__(self, named: Any) -> None:
        if not isinstance(named, Mapping):
            raise TypeUnusable("'$defs' must be an object")
        self.named: Mapping[str, Any] = named
        self._parts = 0

    def read(self, schema: Any, depth: int, ref: str | None = None) -> CoreSchema:
        self._parts += 1
        if self._parts > MOST_PARTS or depth > DEEPEST:
            raise TypeUnusable(f"it may have {MOST_PARTS} parts in {DEEPEST} levels at most")
        if schema is True:
            return core_schema.any_schema()
        if not isinstance(schema, Mapping):
            raise TypeUnusable("a schema must be an object")
        said = {key: value for key, value in schema.items() if key not in _LEFT_ALONE}
        if "$ref" in said:
            return self._referred(said)
        if "enum" in said or "const" in said:
            return self._one_of(said, ref)
        if "anyOf" in said:
            _only(said, "anyOf")
            return self._any_of(_listed(said["anyOf"]), depth, ref)
        if not said:
            return core_schema.any_schema(ref=ref)
        kind = said.pop("type", None)
        if kind == "object":
            return self._object(said, depth, ref)
        if kind == "array":
            _only(said, "items", "minItems", "maxItems")
            items = self.read(said.get("items", True), depth + 1)
            return core_schema.list_schema(
                items, min_length=said.get("minItems"), max_length=said.get("maxItems"), ref=ref
            )
        if kind not in _PLAIN:
            raise TypeUnusable(f"{kind!r:.60} is no type")
        make, known = _PLAIN[kind]
        _only(said, *known)
        return make(**{known[keyword]: value for keyword, value in said.items()}, ref=ref)

    def _referred(self, said: Mapping[str, Any]) -> CoreSchema:
        _only(said, "$ref")
        name = str(said["$ref"]).removeprefix("#/$defs/")
        if name not in self.named:
            raise TypeUnusable(f"{said['$ref']!r:.80} leads to no part of it")
        return core_schema.definition_reference_schema(name)

    def _one_of(self, said: Mapping[str, Any], ref: str | None) -> CoreSchema:
        _only(said, "enum", "const", "type")
        members = [said["const"]] if "const" in said else _listed(said["enum"])
        if not all(member is None or isinstance(member, str | int | bool) for member in members):
            raise TypeUnusable("'enum' may hold texts, whole numbers, true, false and null")
        return core_schema.literal_schema(members, ref=ref)

    def _any_of(self, choices: list[Any], depth: int, ref: str | None) -> CoreSchema:
        some = [self.read(choice, depth + 1) for choice in choices if choice != {"type": "null"}]
        only = some[0] if len(some) == 1 else core_schema.union_schema([*some])
        return only if len(some) == len(choices) else core_schema.nullable_schema(only, ref=ref)

    def _object(self, said: Mapping[str, Any], depth: int, ref: str | None) -> CoreSchema:
        _only(said, "properties", "required", "additionalProperties", ORDER)
        properties, others = said.get("properties"), said.get("additionalProperties")
        if properties is None:
            values = self.read(True if others is None else others, depth + 1)
            return core_schema.dict_schema(core_schema.str_schema(), values, ref=ref)
        if not isinstance(properties, Mapping) or others not in (None, True, False):
            raise TypeUnusable("an object's 'properties' must be an object, and others allowed or not")
        order, required = _listed(said.get(ORDER, [*properties])), _listed(said.get("required", []))
        if sorted(map(str, order)) != sorted(properties):
            raise TypeUnusable(f"{ORDER!r} must name each of the 'properties' once")
        fields = {
            name: core_schema.typed_dict_field(
                self._part(properties[name], depth + 1), required=name in required
            )
            for name in order
        }
        extra = {None: "ignore", True: "allow", False: "forbid"}[others]
        return core_schema.typed_dict_schema(fields, extra_behavior=extra, total=False, ref=ref)  # type: ignore[arg-type]

    def _part(self, schema: Any, depth: int) -> CoreSchema:
        read = self.read(schema, depth)
        if isinstance(schema, Mapping) and "default" in schema:
            return core_schema.with_default_schema(read, default=schema["default"])
        return read


def _only(said: Mapping[str, Any], *known: str) -> None:
    other = next((key for key in said if key not in known), None)
    if other is not None:
        raise TypeUnusable(f"{other[:_SHOWN]!r} is not supported in it")


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeUnusable("where several things are named they must be an array")
    return value


_BOUNDS = {"minimum": "ge", "maximum": "le", "exclusiveMinimum": "gt", "exclusiveMaximum": "lt"}
_NUMBER = {**_BOUNDS, "multipleOf": "multiple_of"}
_PLAIN: Mapping[Any, tuple[Callable[..., CoreSchema], Mapping[str, str]]] = {
    "string": (
        core_schema.str_schema,
        {"minLength": "min_length", "maxLength": "max_length", "pattern": "pattern"},
    ),
    "integer": (core_schema.int_schema, _NUMBER),
    "number": (core_schema.float_schema, _NUMBER),
    "boolean": (core_schema.bool_schema, {}),
    "null": (core_schema.none_schema, {}),
}
"""Type -> what makes its check, and its keywords by that one's names."""
