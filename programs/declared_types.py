"""Whether a Python type is no more than its JSON Schema says, so that a release can hold it.

Pydantic's own account of the type is walked: what runs code of the program's, or changes a value on its way,
has no place in data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

from programs.errors import LoweringImpossible
from programs.json_types import ORDER, JsonType, TypeUnusable

_ALWAYS = frozenset({"type", "ref", "metadata"})
_NUMBER = frozenset({"ge", "gt", "le", "lt", "multiple_of"})
# Kinds of nodes in pydantic's account, and the keys that a JSON Schema says all about.
_KNOWN: Mapping[str, frozenset[str]] = {
    "str": frozenset({"min_length", "max_length", "pattern"}),
    "int": _NUMBER,
    "float": _NUMBER,
    "bool": frozenset(),
    "none": frozenset(),
    "any": frozenset(),
    "literal": frozenset({"expected"}),
    "list": frozenset({"items_schema", "min_length", "max_length"}),
    "dict": frozenset({"keys_schema", "values_schema"}),
    "nullable": frozenset({"schema"}),
    "union": frozenset({"choices"}),
    "default": frozenset({"schema", "default"}),
    "enum": frozenset({"cls", "members", "sub_type", "missing"}),
    "model": frozenset(
        {"cls", "schema", "config", "custom_init", "root_model", "post_init", "generic_origin"}
    ),
    "model-fields": frozenset({"fields", "model_name", "computed_fields", "extra_behavior"}),
    "model-field": frozenset({"schema"}),
    "definitions": frozenset({"schema", "definitions"}),
    "definition-ref": frozenset({"schema_ref"}),
}


def schema_of(name: str, declared: Any) -> dict[str, Any]:
    """The JSON Schema of a field's type.

    Raises:
        LoweringImpossible: the type is more than that; says what.
    """
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(declared)
        schema: dict[str, Any] = _ordered(adapter.json_schema())
        for node in _nodes(adapter.core_schema):
            why = _more_than_data(node)
            if why is not None:
                raise LoweringImpossible(f"field {name!r} has type {declared}, and {why}")
        JsonType(schema)
    except (PydanticSchemaGenerationError, PydanticUserError, TypeUnusable) as error:
        first_line = str(error).partition("\n")[0]
        raise LoweringImpossible(f"field {name!r} has type {declared}: {first_line}") from error
    return schema


def _ordered(schema: Any) -> Any:
    """The schema with the order of each object's parts written down: releases sort the keys of objects."""
    if isinstance(schema, list):
        return [_ordered(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    told = {key: value if key in ("default", "enum") else _ordered(value) for key, value in schema.items()}
    parts = schema.get("properties")
    return (
        {**told, ORDER: list(parts)} if isinstance(parts, dict) and schema.get("type") == "object" else told
    )


def _more_than_data(node: Mapping[str, Any]) -> str | None:
    kind = node["type"]
    if kind not in _KNOWN:
        return f"no plan can hold {kind!r}"
    given = {key for key, value in node.items() if value not in (None, False, [], {})}
    others = given - _ALWAYS - _KNOWN[kind]
    if others:
        return f"no plan can hold its {min(others)!r}"
    return _CHECKS[kind](node) if kind in _CHECKS else None


def _model(node: Mapping[str, Any]) -> str | None:
    settings = (node.get("config") or {}).keys() - {"title", "extra_fields_behavior"}
    if settings:
        return f"no plan can hold its model's {min(settings)!r}"
    written = node["cls"].__pydantic_decorators__
    if any(getattr(written, part.name) for part in fields(written)) or node.get("root_model"):
        return f"{node['cls'].__name__} has code of its own, which no plan can hold"
    return None


def _enum(node: Mapping[str, Any]) -> str | None:
    if node.get("missing") is None and all(isinstance(member.value, str) for member in node["members"]):
        return None
    return "a plan's choices are texts"


def _dict(node: Mapping[str, Any]) -> str | None:
    keys = node.get("keys_schema") or {"type": "str"}
    plain = keys["type"] in ("str", "any") and not keys.keys() - _ALWAYS
    return None if plain else "the keys of its objects must be texts"


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "model": _model,
    "enum": _enum,
    "dict": _dict,
}


def _nodes(schema: Any) -> Iterator[Mapping[str, Any]]:
    """The node and all those within it."""
    if isinstance(schema, tuple):  # a choice of a union and its label
        schema = schema[0]
    yield schema
    within = [
        schema[key] for key in ("schema", "items_schema", "values_schema", "keys_schema") if key in schema
    ]
    within += [*schema.get("choices", ()), *schema.get("definitions", ())]
    if schema["type"] == "model-fields":
        within += schema["fields"].values()
    for inner in within:
        yield from _nodes(inner)
