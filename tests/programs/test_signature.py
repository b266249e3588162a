from __future__ import annotations

from datetime import date
from enum import Enum
from types import NoneType
from typing import Literal, get_args

import dspy
import pytest
from pydantic import BaseModel

from programs.declared_types import schema_of
from programs.errors import LoweringImpossible
from programs.plan import Field
from programs.signature import signature_fields


class Everything(dspy.Signature):
    text: str = dspy.InputField()
    past: dspy.History = dspy.InputField()
    count: int = dspy.InputField(default=3)
    note: str | None = dspy.InputField()
    mood: Literal["calm", "cross"] = dspy.OutputField()
    parts: list[float] = dspy.OutputField()


def test_fields_keep_names_types_choices_and_defaults() -> None:
    inputs, outputs = signature_fields(Everything)
    assert inputs == (
        Field("text"),
        Field("past", "history"),
        Field("count", "int", required=False, default=3),
        Field("note", required=False),
    )
    assert outputs == (Field("mood", "literal", ("calm", "cross")), Field("parts", "list[float]"))


class Mood(Enum):
    CALM = "calm"
    CROSS = "cross"


class Size(Enum):
    SMALL = 1


class Parcel(BaseModel):
    weight: float
    mood: Mood = Mood.CALM


def output_of(kind: object, **about: object) -> Field:
    signature = dspy.Signature({"q": (str, dspy.InputField()), "odd": (kind, dspy.OutputField(**about))})
    return signature_fields(signature).outputs[0]


@pytest.mark.parametrize("kind", [Literal[1, 2], Size, str | int | None, set[int], date], ids=str)
def test_a_type_that_no_plan_can_hold_is_refused_by_name(kind: object) -> None:
    with pytest.raises(LoweringImpossible, match="field 'odd' has type"):
        output_of(kind)


def test_an_enum_keeps_the_values_and_the_names_of_its_members() -> None:
    mood = ("calm", "cross")
    assert output_of(Mood) == Field("odd", "enum", mood, names=("CALM", "CROSS"))
    assert output_of(Mood, default=Mood.CROSS) == Field(
        "odd", "enum", mood, False, "cross", names=("CALM", "CROSS")
    )


@pytest.mark.parametrize("kind", [dict[str, int], list[Parcel], Parcel, int | str, Mood | None, int | None])
def test_every_other_type_is_held_as_its_schema(kind: object) -> None:
    field = output_of(kind)
    assert (field.type, field.schema) == ("json", schema_of("odd", kind))
    assert field.required is (NoneType not in get_args(kind))


def test_an_optional_text_is_a_text() -> None:
    assert output_of(str | None) == Field("odd", required=False)
