"""Tests for gateway/traffic/feedback.py: what is feedback, and what a correction corrects."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.errors import RequestInvalid
from gateway.traffic.feedback import Feedback, as_outputs, read_feedback
from programs.plan import Field

OUTPUTS = (Field("reasoning"), Field("answer", "int"), Field("unit", "literal", choices=("kg", "m")))


def read(**body: Any) -> Feedback:
    return read_feedback(orjson.dumps({"response_id": "chatcmpl-1", **body}))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("score", 0),
        ("score", 0.5),
        ("score", 1),
        ("label", "approved"),
        ("label", "off-topic.v2"),
        ("correction", "forty-two"),
        ("correction", 42),
        ("correction", {"answer": 42}),
    ],
)
def test_feedback_is_one_of_three_kinds(kind: str, value: Any) -> None:
    assert read(**{kind: value, "comment": "why"}) == Feedback("chatcmpl-1", kind, value, "why")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"score": True}, "score"),
        ({"score": "1"}, "score"),
        ({"score": 1.01}, "score"),
        ({"score": -1}, "score"),
        ({"score": None}, "score"),
        ({"label": "two words"}, "label"),
        ({"label": 1}, "label"),
        ({"label": "x" * 65}, "label"),
        ({"correction": None}, "correction"),
        ({"correction": {}}, "correction"),
        ({"score": 1, "label": "good"}, None),
        ({}, None),
        ({"score": 1, "comment": 5}, "comment"),
        ({"score": 1, "comment": "x" * 4001}, "comment"),
        ({"score": 1, "stars": 5}, "stars"),
        ({"score": 1, "response_id": 7}, "response_id"),
        ({"score": 1, "response_id": "a b"}, "response_id"),
    ],
)
def test_anything_else_is_refused_by_name(body: dict[str, Any], param: str | None) -> None:
    with pytest.raises(RequestInvalid) as told:
        read(**body)
    assert told.value.param == param


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"score": NaN}', b"[" * 10_000, b'{"a": "\\ud800"}'])
def test_a_body_that_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(RequestInvalid, match="The body"):
        read_feedback(data)


@pytest.mark.parametrize(
    ("correction", "outputs"),
    [
        (42, {"answer": 42}),
        ("42", {"answer": 42}),
        ({"answer": 42, "unit": "kg"}, {"answer": 42, "unit": "kg"}),
        ({"reasoning": "six sevens"}, {"reasoning": "six sevens"}),
    ],
)
def test_a_correction_is_of_the_answer_or_of_outputs_by_name(correction: Any, outputs: Any) -> None:
    assert as_outputs(correction, "answer", OUTPUTS) == outputs


@pytest.mark.parametrize(
    ("correction", "param"),
    [
        ("many", "correction.answer"),
        ([1], "correction.answer"),
        ({"answer": "42"}, "correction.answer"),
        ({"unit": "s"}, "correction.unit"),
        ({"reasoning": "  "}, "correction.reasoning"),
        ({"weight": 1}, "correction"),
    ],
)
def test_a_correction_of_another_type_is_refused(correction: Any, param: str) -> None:
    with pytest.raises(RequestInvalid) as told:
        as_outputs(correction, "answer", OUTPUTS)
    assert told.value.param == param


def test_of_a_release_that_is_gone_the_types_are_not_known() -> None:
    assert as_outputs("many", "answer", None) == {"answer": "many"}
