"""Tests for programs/json_schema.py, held against the library that implements all of JSON Schema."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from programs.json_schema import MOST_SCHEMAS, JsonSchema, SchemaUnusable

NAMES = st.sampled_from(["a", "b", "c"])
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, 1.0, -2.0, 2.5]))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.text("xy", max_size=3))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
KINDS = st.sampled_from(["null", "boolean", "object", "array", "number", "string", "integer"])
COUNTS = st.integers(0, 3)


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    keywords = {
        "type": st.one_of(KINDS, st.lists(KINDS, min_size=1, max_size=3, unique=True)),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "const": VALUES,
        "anyOf": some, "allOf": some, "oneOf": some,
        "properties": st.dictionaries(NAMES, inner, max_size=3),
        "additionalProperties": inner,
        "required": st.lists(NAMES, max_size=2, unique=True),
        "items": inner,
        "minItems": COUNTS, "maxItems": COUNTS, "minLength": COUNTS, "maxLength": COUNTS,
        "minimum": NUMBERS, "maximum": NUMBERS, "exclusiveMinimum": NUMBERS, "exclusiveMaximum": NUMBERS,
        "multipleOf": st.sampled_from([1, 2, 0.5]),
        "title": st.just("T"),
        "$ref": st.sampled_from(["#/$defs/A", "#/$defs/B"]),
    }  # fmt: skip
    return st.fixed_dictionaries({}, optional=keywords)


LEAVES = st.one_of(st.booleans(), st.fixed_dictionaries({}, optional={"type": KINDS, "minimum": NUMBERS}))
PARTS = st.recursive(LEAVES, _schemas, max_leaves=6)
# What is defined refers to nothing, so that no schema leads back to itself.
ROOTS = st.builds(lambda schema, a, b: {**schema, "$defs": {"A": a, "B": b}}, _schemas(PARTS), LEAVES, LEAVES)


@settings(deadline=None)
@given(schema=ROOTS, values=st.lists(VALUES, min_size=1, max_size=5))
def test_it_judges_as_the_library_does(schema: dict[str, Any], values: list[Any]) -> None:
    ours, reference = JsonSchema(schema), Draft202012Validator(schema)
    for value in values:
        assert (ours.problem(value) is None) == reference.is_valid(value), (schema, value)


@pytest.mark.parametrize(
    ("schema", "value", "place"),
    [
        ({"properties": {"a": {"type": "integer"}}}, {"a": "secret"}, "at 'a': it breaks 'type'"),
        ({"items": {"maximum": 3}}, [1, 2, 9], "at '2': it breaks 'maximum'"),
        ({"required": ["a"]}, {}, "it breaks 'required'"),
        ({"additionalProperties": False}, {"b": 1}, "at 'b': nothing is allowed"),
        ({"anyOf": [{"type": "null"}, {"const": 4}]}, 5, "it breaks 'anyOf'"),
    ],
)
def test_a_problem_names_the_place_and_never_the_value(schema: Any, value: Any, place: str) -> None:
    assert JsonSchema(schema).problem(value) == place


@pytest.mark.parametrize(
    ("value", "step", "fits"), [(0.3, 0.1, True), (0.35, 0.1, False), (10**400, 7, False)]
)
def test_multiples_are_those_of_the_numbers_as_written(value: float, step: float, fits: bool) -> None:
    assert (JsonSchema({"multipleOf": step}).problem(value) is None) is fits


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ([], "must be an object"),
        ("string", "must be an object"),
        ({"type": "text"}, "'type' must be one or several of"),
        ({"type": 5}, "'type' must be"),
        ({"type": [["string"]]}, "'type' must be"),
        ({"properties": []}, "'properties' must be an object of schemas"),
        ({"properties": {"a": 5}}, "at 'properties/a': a schema must be"),
        ({"required": "a"}, "'required' must be"),
        ({"minimum": "low"}, "'minimum' must be a number"),
        ({"minItems": -1}, "'minItems' must be"),
        ({"multipleOf": 0}, "'multipleOf' must be"),
        ({"enum": []}, "'enum' must be"),
        ({"anyOf": {}}, "'anyOf' must be"),
        ({"items": [{"type": "string"}]}, "at 'items': a schema must be"),
        ({"properties": {"a": {"pattern": "(a+)+$"}}}, "at 'properties/a': 'pattern' is not supported here"),
        ({"if": {}}, "'if' is not supported here"),
        ({"$ref": 5}, "'$ref' must be a text"),
        ({"$ref": "#/$defs/gone"}, "leads to no schema"),
        ({"$ref": "http://127.0.0.1/schema.json"}, "leads to no schema"),
        ({"$ref": "#/default", "default": {"if": 5}}, "leads to no schema"),
        ({"$ref": "#properties/a", "properties": {"a": {}}}, "leads to no schema"),
        ({"$ref": "#/$defs", "$defs": {"type": {"type": "string"}}}, "leads to no schema"),
        ({"anyOf": [{"title": str(n)} for n in range(MOST_SCHEMAS)]}, "parts in 32 levels"),
    ],
)
def test_what_would_not_be_checked_is_refused(schema: object, why: str) -> None:
    with pytest.raises(SchemaUnusable) as caught:
        JsonSchema(schema)
    assert why in str(caught.value)


def test_a_deep_schema_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(900):
        schema = {"items": schema}
    with pytest.raises(SchemaUnusable, match="32 levels"):
        JsonSchema(schema)


def test_a_schema_that_leads_back_to_itself_is_given_up() -> None:
    loop = JsonSchema({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}})
    with pytest.raises(SchemaUnusable, match="without end"):
        loop.problem(5)


def test_a_recursive_schema_of_values_is_followed() -> None:
    tree = JsonSchema({"type": "array", "items": {"$ref": "#"}})
    assert tree.problem([[], [[]]]) is None
    assert tree.problem([[], [[5]]]) == "at '1/0/0': it breaks 'type'"


def test_a_schema_that_doubles_its_work_at_every_level_is_given_up() -> None:
    defs = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(25)}
    schema = JsonSchema({"$ref": "#/$defs/a0", "$defs": {**defs, "a25": {"type": "integer"}}})
    with pytest.raises(SchemaUnusable, match="too much work"):
        schema.problem(5)


@pytest.mark.parametrize("reference", ["#/$defs/a~1b~0c%20d/anyOf/0", "#/$defs/a~1b~0c d/anyOf/0", "#/items"])
def test_any_schema_inside_can_be_referred_to(reference: str) -> None:
    text = {"type": "string"}
    schema = JsonSchema({"$ref": reference, "$defs": {"a/b~c d": {"anyOf": [text]}}, "items": text})
    assert schema.problem("x") is None and schema.problem(5) is not None


def test_a_name_without_end_is_refused() -> None:
    with pytest.raises(SchemaUnusable, match="256 characters"):
        JsonSchema({"properties": {"x" * 10_000: {}}})
