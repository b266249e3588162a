from __future__ import annotations

from typing import Literal

import dspy
import pytest

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


@pytest.mark.parametrize("kind", [dict[str, int], Literal[1, 2], int | str], ids=["dict", "numbers", "union"])
def test_a_type_that_no_plan_knows_is_refused_by_name(kind: object) -> None:
    signature = dspy.Signature({"q": (str, dspy.InputField()), "odd": (kind, dspy.OutputField())})
    with pytest.raises(LoweringImpossible, match=r"field 'odd' has type .*a plan knows str, int"):
        signature_fields(signature)
