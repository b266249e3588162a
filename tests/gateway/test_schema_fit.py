"""Tests for gateway/schema_fit.py."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.schema_fit import SchemaFit
from programs.json_schema import JsonSchema, SchemaUnusable
from programs.plan import Field
from tests.programs.test_json_schema import PARTS

VALUES: dict[Any, st.SearchStrategy[Any]] = {
    "str": st.text("xy", max_size=3),
    "int": st.integers(-3, 3),
    "float": st.sampled_from([0.5, 1.0, -2.0, 2.5]),
    "bool": st.booleans(),
    "literal": st.sampled_from(["x", "yy"]),
    "list[str]": st.lists(st.text("xy", max_size=3), min_size=1, max_size=3),
    "list[int]": st.lists(st.integers(-3, 3), min_size=1, max_size=3),
}


def _field(kind: Any) -> Field:
    return Field("a", kind, ("x", "yy") if kind == "literal" else ())


def _never(schema: dict[str, Any], *outputs: Field) -> str | None:
    whole = JsonSchema({"type": "object", **schema})
    assert isinstance(whole.root, dict)
    return SchemaFit(whole).never(whole.root, outputs)


def _of(schema: Any, kind: Any) -> str | None:
    return _never({"properties": {"a": schema}, "$defs": {"A": {}, "B": {}}}, _field(kind))


@settings(deadline=None)
@given(schema=PARTS, kind=st.sampled_from(list(VALUES)), data=st.data())
def test_what_fits_is_never_called_unmeetable(schema: Any, kind: Any, data: st.DataObject) -> None:
    whole = JsonSchema({"properties": {"a": schema}, "$defs": {"A": {}, "B": {}}})
    if whole.problem({"a": data.draw(VALUES[kind])}) is None:
        assert _of(schema, kind) is None


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "integer"}, "str"),
        ({"type": "string"}, "int"),
        ({"type": "string"}, "list[str]"),
        ({"type": ["null", "boolean"]}, "int"),
        ({"type": "array", "items": {"type": "integer"}}, "list[str]"),
        ({"type": "array", "items": {"type": "object"}}, "list[int]"),
        ({"enum": [1, 2]}, "str"),
        ({"const": "1"}, "int"),
        ({"enum": ["z", 1]}, "literal"),
        ({"maxLength": 0}, "literal"),
        ({"const": 1}, "bool"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "str"),
        ({"allOf": [{}, {"type": "integer"}]}, "str"),
        ({"$ref": "#/properties/b", "type": "integer"}, "str"),
        (False, "str"),
    ],
)
def test_what_can_never_fit_is_found(schema: Any, kind: Any) -> None:
    whole = {"properties": {"a": schema, "b": {}}}
    why = _never(whole, _field(kind))
    assert why is not None and why.startswith("'a' is ")


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "number"}, "int"), ({"type": "integer"}, "float"), ({"enum": ["x", 5]}, "literal"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "int"), ({"maximum": 0}, "int"), ({}, "str"),
        ({"type": "array", "items": {"type": "string"}}, "list[str]"), ({"enum": ["anything"]}, "str"),
    ],
)  # fmt: skip
def test_what_may_fit_is_let_go_ahead(schema: Any, kind: Any) -> None:
    assert _of(schema, kind) is None


def test_a_required_name_that_is_no_output_is_named() -> None:
    why = _never({"required": ["score"]}, Field("reasoning"), Field("answer"))
    assert why == "it requires 'score', and the program's outputs are answer, reasoning"


def test_outputs_that_the_schema_leaves_out_are_not_judged() -> None:
    schema = {"properties": {"answer": {"type": "string"}}, "additionalProperties": False}
    assert _never(schema, Field("count", "int"), Field("answer")) is None
    others = {"additionalProperties": {"type": "string"}}
    assert _never(others, Field("answer")) is None
    assert _never(others, Field("count", "int")) == "'count' is int, and it wants string"


def test_a_schema_that_doubles_its_work_at_every_level_is_given_up() -> None:
    defs = {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(25)}
    with pytest.raises(SchemaUnusable):
        _never({"properties": {"a": {"$ref": "#/$defs/a0"}}, "$defs": {**defs, "a25": {}}}, Field("a"))
