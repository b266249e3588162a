from __future__ import annotations

from typing import Any

import dspy
import pytest
from dspy.adapters.utils import parse_value as dspy_parse_value
from dspy.utils.exceptions import AdapterParseError
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.adapter import ProgramAdapter
from programs.errors import ReplyUnparseable
from programs.plan import Field, FieldType
from programs.reader import FieldReader, parse_value

OUTPUTS = [Field("reasoning"), Field("answer")]
SIGNATURE = dspy.Signature("question -> reasoning, answer")

FRAGMENTS = [
    *("[", "[[", " ", "#", " ## ", "]", "]]", "[[ ## ", "a", "b\t", "é", "\x1f"),
    *("[[ ## answer ## ]]", "[[ ## reasoning ## ]]", "[[ ## completed ## ]]", "[[ ## other ## ]]"),
    *("\n", "\r", "\r\n", "\x0b", "\u2028"),
]


def read(*pieces: str) -> tuple[dict[str, str], FieldReader]:
    reader = FieldReader(OUTPUTS)
    deltas = [delta for piece in pieces for delta in reader.feed(piece)] + reader.close()
    joined: dict[str, str] = {}
    for delta in deltas:
        joined[delta.field] = joined.get(delta.field, "") + delta.text
    return joined, reader


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=16), st.data())
def test_deltas_under_any_chunking_join_to_what_the_adapter_parses(
    parts: list[str], data: st.DataObject
) -> None:
    reply = "".join(parts)
    cut = data.draw(st.integers(0, len(reply)))
    joined, reader = read(reply[:cut], reply[cut:])
    assert joined == {name: text for name, text in reader.texts().items() if text}
    try:
        expected = ProgramAdapter().parse(SIGNATURE, reply)
    except AdapterParseError:
        with pytest.raises(ReplyUnparseable):
            reader.outputs()
    else:
        assert reader.outputs() == expected


def test_text_comes_out_as_soon_as_it_can_be_no_marker() -> None:
    reader = FieldReader(OUTPUTS)
    assert reader.feed("[[ ## answer ## ]]\nForty") == [("answer", "Forty")]
    assert reader.feed(" two") == [("answer", " two")]
    assert reader.feed("\n[[ ## comp") == []
    assert reader.feed("leted ## ]]\n") == reader.close() == []


def test_a_bracket_that_becomes_no_marker_is_given_back() -> None:
    joined, _ = read("[[ ## answer ## ]]\na\n[[", "1, 2]]")
    assert joined == {"answer": "a\n[[1, 2]]"}


def test_what_is_missing_is_named() -> None:
    _, reader = read("[[ ## reasoning ## ]]\nhm")
    with pytest.raises(ReplyUnparseable, match="no 'answer'"):
        reader.outputs()


@pytest.mark.parametrize(
    ("kind", "annotation"),
    [("int", int), ("float", float), ("bool", bool), ("list[str]", list[str]), ("list[int]", list[int])],
)
@pytest.mark.parametrize(
    "text", ["7", " 7.0", "7.5", "True", "false", "", "[1, 2]", "['a']", '["a", "b"', "seven", "{}", "1,200"]
)
def test_values_are_typed_as_dspy_types_them(kind: FieldType, annotation: Any, text: str) -> None:
    try:
        expected = dspy_parse_value(text, annotation)
    except ValueError:
        with pytest.raises(ReplyUnparseable):
            parse_value(Field("x", kind), text)
    else:
        assert parse_value(Field("x", kind), text) == expected


@pytest.mark.parametrize("text", ["low", ' "low"', "Literal[low]", "Low", "", "low."])
def test_literals_are_read_as_dspy_reads_them(text: str) -> None:
    from typing import Literal

    field = Field("x", "literal", choices=("low", "high"))
    try:
        expected = dspy_parse_value(text, Literal["low", "high"])
    except ValueError:
        with pytest.raises(ReplyUnparseable, match="low, high"):
            parse_value(field, text)
    else:
        assert parse_value(field, text) == expected


@pytest.mark.parametrize("kind", ["int", "float", "bool", "list[str]", "list[int]"])
@pytest.mark.parametrize("text", ["[" * 3_000, "(" * 500, "-" * 100_000 + "1", "1+" * 5_000 + "1"])
def test_nesting_without_end_is_no_value_of_any_type(kind: FieldType, text: str) -> None:
    with pytest.raises(ReplyUnparseable, match="output 'x' must be") as caught:
        parse_value(Field("x", kind), text)
    assert len(str(caught.value)) < 300


def test_a_number_of_any_size_is_a_number() -> None:
    assert parse_value(Field("x", "int"), "9" * 30) == int("9" * 30)


@pytest.mark.parametrize("kind", ["list[str]", "int"])
def test_long_broken_json_takes_no_time_to_refuse(kind: FieldType) -> None:
    # Mending it would take minutes, for the whole of which nobody else would be answered.
    with pytest.raises(ReplyUnparseable):
        parse_value(Field("x", kind), "{a: b, " * 20_000)


@pytest.mark.parametrize("text", ['["a", "b"', '["a", "b"]'])
def test_long_lists_are_read_as_the_adapter_reads_them(text: str) -> None:
    signature, long = dspy.Signature("question -> answer: list[str]"), text.replace("a", "a" * 5_000)
    reply = f"[[ ## answer ## ]]\n{long}\n\n[[ ## completed ## ]]"
    try:
        expected = ProgramAdapter().parse(signature, reply)["answer"]
    except AdapterParseError:
        with pytest.raises(ReplyUnparseable):
            parse_value(Field("answer", "list[str]"), long)
    else:
        assert parse_value(Field("answer", "list[str]"), long) == expected


def test_a_long_text_that_may_be_missing_stays_a_text() -> None:
    signature = dspy.Signature("question -> answer: str").with_updated_fields("answer", type_=str | None)
    reply = "[[ ## answer ## ]]\n" + "plain " * 1_000
    assert ProgramAdapter().parse(signature, reply)["answer"] == ("plain " * 1_000).strip()
