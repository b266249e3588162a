"""Tests for programs/json_types.py and programs/declared_types.py: a type and its schema take the same."""

from __future__ import annotations

import datetime
import enum
import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic_core import to_jsonable_python

from programs.declared_types import schema_of
from programs.errors import LoweringImpossible
from programs.json_types import JsonType, TypeUnusable, Unfit


class Mood(enum.Enum):
    GLAD = "glad"
    SAD = "sad"


class Person(BaseModel):
    name: str = Field(min_length=1)
    age: int = Field(ge=0)
    tags: list[str] = []


class Tree(BaseModel):
    value: float
    inner: list[Tree] = []


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    mood: Mood = Mood.GLAD
    person: Person | None = None


class Validated(BaseModel):
    age: int

    @field_validator("age")
    @classmethod
    def old_enough(cls, age: int) -> int:
        return age + 1


class Renamed(BaseModel):
    age: int = Field(alias="years")


class Stripped(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True)
    name: str


VALUES: list[Any] = [
    None, True, 3, 3.0, 3.5, "3", "", "glad", "GLAD", [], [1, "2"], ["a"], {},
    {"a": 1}, {"a": "1"}, {"a": None}, {"mood": "sad"}, {"mood": "angry"},
    {"name": "Ann", "age": 3}, {"name": "Ann", "age": "3", "more": 1}, {"name": "", "age": 3},
    {"name": "Ann"},
    [{"name": "Ann", "age": 3, "tags": ["t"]}], {"person": {"name": "Ann", "age": 1}},
    {"person": None, "x": 1},
    {"value": 1, "inner": [{"value": "2"}]}, {"value": 1, "inner": 1},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize(
    "declared",
    [
        Person, Tree, Closed, Mood | None, list[Person], dict[str, int], dict[str, Any], dict, list, Any,
        int | None, int | str, Literal["a", "glad"] | None, list[dict[str, float]], bool | None,
    ],
    ids=str,
)  # fmt: skip
def test_a_schema_takes_and_gives_what_its_type_does(declared: Any, value: Any) -> None:
    try:
        expected = to_jsonable_python(TypeAdapter(declared).validate_python(value))
    except ValidationError:
        with pytest.raises(Unfit):
            JsonType(schema_of("field", declared)).read(value)
    else:
        assert JsonType(schema_of("field", declared)).read(value) == expected


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        (Validated, "Validated has code of its own"),
        (Renamed, "alias"),
        (Stripped, "str_strip_whitespace"),
        (datetime.date, "'date'"),
        (set[int], "'set'"),
        (dict[int, str], "must be texts"),
        (tuple[int, str], "'tuple'"),
    ],
)
def test_a_type_that_is_more_than_data_stays_out_of_releases(declared: Any, why: str) -> None:
    with pytest.raises(LoweringImpossible, match=why):
        schema_of("field", declared)


def test_what_json_says_is_judged_strictly_and_completed() -> None:
    person = JsonType(schema_of("field", Person))
    assert person.complete({"name": "Ann", "age": 3}) == {"name": "Ann", "age": 3, "tags": []}
    with pytest.raises(Unfit, match="at 'age' input should be a valid integer"):
        person.complete({"name": "Ann", "age": "3"})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "format": "date"},
        {"type": "thing"},
        {"$ref": "#/$defs/Nobody"},
        {"type": "object", "properties": {"a": {"type": "string", "x-run": "this"}}},
        {"type": "array", "items": {"type": "array", "minItems": "x"}},
        {"type": "string", "pattern": "("},
        {"enum": [[1]]},
        {"$defs": 1},
        {"type": "object", "properties": {"a": {"type": "string"}}, "propertyOrdering": ["b"]},
        {"anyOf": {"a": 1}},
    ],
)
def test_a_schema_that_would_not_be_followed_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(TypeUnusable):
        JsonType(schema)


def test_an_object_keeps_the_order_of_its_parts_where_its_schema_is_sorted() -> None:
    class Backwards(BaseModel):
        z: int
        a: int = 1

    schema = json.loads(json.dumps(schema_of("field", Backwards), sort_keys=True))
    assert list(JsonType(schema).complete({"a": 2, "z": 3})) == ["z", "a"]


def test_a_schema_without_end_is_refused() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(40):
        deep = {"type": "array", "items": deep}
    with pytest.raises(TypeUnusable, match="24 levels"):
        JsonType(deep)
