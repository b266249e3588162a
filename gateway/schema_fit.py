"""Whether a program's outputs can ever be as a client's schema asks, judged by their types alone.

Finds what is certain: where a value might fit, the run is let go ahead and its values are checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from programs.json_schema import DEEPEST, JsonSchema, Schema, SchemaUnusable, is_of, kinds_of
from programs.plan import Field, FieldType

_MOST_STEPS = 10_000

_JSON_TYPES: Mapping[FieldType, tuple[str, ...]] = {
    "str": ("string",),
    "literal": ("string",),
    "enum": ("string",),
    "int": ("integer", "number"),
    "float": ("number", "integer"),  # 3.0 is an integer in JSON
    "bool": ("boolean",),
    "tool_calls": ("object",),
}
_ITEMS: Mapping[FieldType, FieldType] = {"list[str]": "str", "list[int]": "int", "list[float]": "float"}


class SchemaFit:
    """One schema held against outputs. Its methods say why they never fit, and None where they may."""

    def __init__(self, schema: JsonSchema) -> None:
        self._schema = schema
        self._steps = 0

    def never(self, root: Mapping[str, Any], outputs: Sequence[Field]) -> str | None:
        """For all outputs as one object, of which `root` speaks. Raises SchemaUnusable."""
        given = {field.name for field in outputs}
        missing = next((name for name in root.get("required", ()) if name not in given), None)
        if missing is not None:
            return f"it requires {missing[:80]!r}, and the program's outputs are {', '.join(sorted(given))}"
        named, others = root.get("properties", {}), root.get("additionalProperties", True)
        for field in outputs:
            # What the schema does not name and does not allow is left out of the content.
            schema = named.get(field.name, True if others is False else others)
            why = self._field(schema, field, 0)
            if why is not None:
                return f"{field.name!r} is {_described(field)}, and {why}"
        return None

    def _field(self, schema: Schema, field: Field, depth: int) -> str | None:
        if isinstance(schema, bool):
            return None if schema else "it allows nothing there"
        self._steps += 1
        if depth > DEEPEST or self._steps > _MOST_STEPS:
            raise SchemaUnusable("it refers to itself without end, or takes too much work")
        if field.type == "json":
            return self._outermost(schema, field.schema or {})
        finite: Iterable[object] = (True, False) if field.type == "bool" else field.choices
        if finite:
            fitting = any(self._schema.problem(value, schema) is None for value in finite)
            return None if fitting else "it allows none of that"
        reasons = (self._keyword(keyword, argument, field, depth) for keyword, argument in schema.items())
        return next(filter(None, reasons), None)

    def _outermost(self, schema: Mapping[str, Any], own: Mapping[str, Any]) -> str | None:
        """The same of a type that is a schema itself: what is in it is left to the run."""
        given, wanted = own.get("type"), kinds_of(schema.get("type", own.get("type", "object")))
        number = given in ("integer", "number") and {"integer", "number"} & {*wanted}
        if not isinstance(given, str) or given in wanted or number:
            return None
        return f"it wants {' or '.join(wanted)}"

    def _keyword(self, keyword: str, argument: Any, field: Field, depth: int) -> str | None:
        types = _JSON_TYPES.get(field.type, ("array",))
        match keyword:
            case "type" if not set(types) & set(kinds_of(argument)):
                return f"it wants {' or '.join(kinds_of(argument))}"
            case "enum" | "const":
                members = argument if keyword == "enum" else [argument]
                fitting = any(is_of(kind, member) for kind in types for member in members)
                return None if fitting else f"its {keyword!r} holds no such value"
            case "$ref":
                return self._field(self._schema.targets[argument], field, depth + 1)
            case "allOf":
                return next(filter(None, (self._field(inner, field, depth + 1) for inner in argument)), None)
            case "anyOf" | "oneOf":
                reasons = [self._field(inner, field, depth + 1) for inner in argument]
                return None if None in reasons else reasons[0]
            case "items" if field.type in _ITEMS:
                why = self._field(argument, Field(field.name, _ITEMS[field.type]), depth + 1)
                return None if why is None else f"of its items {why}"
        return None


def _described(field: Field) -> str:
    return f"one of {', '.join(map(repr, field.choices))}"[:200] if field.choices else field.type
