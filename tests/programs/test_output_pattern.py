"""Tests for programs/output_pattern.py."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.output_pattern import output_pattern
from programs.plan import Field, FieldType, neutralise
from programs.reader import FieldReader
from programs.tools import Call, Offer, calls_as_dict, read_offer

CHOICES = ("yes", "no, not (yet)", "C++ [v1.0]?", "a|b")
KINDS: tuple[FieldType, ...] = (
    "str", "int", "float", "bool", "literal", "list[str]", "list[int]", "list[float]",
)  # fmt: skip
TEXTS = st.text("ab [#]\n\t\"'\\,.-1\xa0\u3000é", max_size=30)
VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    "str": TEXTS,
    "int": st.integers(),
    "float": st.floats(allow_nan=False, allow_infinity=False, min_value=-1e90, max_value=1e90),
    "bool": st.booleans(),
    "literal": st.sampled_from(CHOICES),
    "list[str]": st.lists(TEXTS, max_size=3),
    "list[int]": st.lists(st.integers(), max_size=3),
    "list[float]": st.lists(st.floats(-1e9, 1e9), max_size=3),
}


def field(name: str, kind: FieldType) -> Field:
    return Field(name, kind, CHOICES if kind == "literal" else ())


def read(outputs: list[Field], text: str) -> dict[str, Any]:
    reader = FieldReader(outputs)
    reader.feed(text)
    reader.close()
    return reader.outputs()


def written(outputs: list[Field], values: list[Any]) -> str:
    """A reply as a demonstration shows it."""
    shown = [json.dumps(v, ensure_ascii=False) if isinstance(v, list) else str(v) for v in values]
    parts = [f"[[ ## {f.name} ## ]]\n{text}" for f, text in zip(outputs, shown, strict=True)]
    return "\n\n".join([*parts, "[[ ## completed ## ]]\n"])


@cache
def matching(pattern: str) -> st.SearchStrategy[str]:
    """Made once: a pattern is analysed when the first text is drawn."""
    return st.from_regex(pattern, fullmatch=True)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(data=st.data())
def test_whatever_matches_is_read(kind: FieldType, data: st.DataObject) -> None:
    outputs = [field("first", kind), field("second", "str"), field("third", kind)]
    text = data.draw(matching(output_pattern(outputs)))
    assert read(outputs, text).keys() == {"first", "second", "third"}


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(data=st.data())
def test_what_demonstrations_show_matches_and_is_read_back(kind: FieldType, data: st.DataObject) -> None:
    outputs = [field("first", kind), field("second", "str")]
    value = data.draw(VALUES[kind])
    if kind == "str":
        value = neutralise(value).strip()
    text = written(outputs, [value, "done"])
    assert re.fullmatch(output_pattern(outputs), text)
    assert read(outputs, text) == {"first": value, "second": "done"}


@pytest.mark.parametrize(
    "line",
    [
        "[[1, 2], [3, 4]]",
        "[",
        "[[",
        "[[ ",
        "[[ #",
        "[[ ##",
        "[[ ##x",
        "[[ # a",
        "  [1]",
        "\xa0[[x",
        "a [[ ## b ## ]]",
    ],
)
def test_brackets_that_begin_no_marker_are_allowed(line: str) -> None:
    outputs = [Field("answer")]
    text = written(outputs, [f"see:\n{line}\nso"])
    assert re.fullmatch(output_pattern(outputs), text)


@pytest.mark.parametrize("line", ["[[ ## answer ## ]]", "  [[ ## other ## ]]", "\xa0[[ ## x", "[[ ## "])
@pytest.mark.parametrize("before", ["", "text\n", "text\r", "text\u2028"])
def test_a_text_cannot_hold_the_beginning_of_a_marker(line: str, before: str) -> None:
    outputs = [Field("reasoning"), Field("answer", "int")]
    text = f"[[ ## reasoning ## ]]\n{before}{line}\n\n[[ ## answer ## ]]\n4\n\n[[ ## completed ## ]]\n"
    assert not re.fullmatch(output_pattern(outputs), text)


def test_another_order_a_missing_field_and_another_type_do_not_match() -> None:
    outputs = [Field("reasoning"), Field("answer", "int")]
    pattern = output_pattern(outputs)
    assert re.fullmatch(pattern, written(outputs, ["r", 4]))
    for text in (
        written(outputs[::-1], [4, "r"]), written(outputs[:1], ["r"]), written(outputs, ["r", "four"]),
        written(outputs, ["r", 4]).replace("completed", "complete"), "preamble " + written(outputs, ["r", 4]),
    ):  # fmt: skip
        assert not re.fullmatch(pattern, text)


ARGS = {"type": "object", "properties": {"x": {"type": "array", "items": {"type": "object"}}}}
OFFER = read_offer([{"name": "a.b", "parameters": ARGS}, {"name": "c"}])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(-1e9, 1e9), TEXTS)
FLAT = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(TEXTS, SCALARS, max_size=2))
ARGUMENTS = st.dictionaries(TEXTS, st.one_of(FLAT, st.lists(FLAT, max_size=2)), max_size=2)
CALLS = st.lists(st.builds(Call, st.sampled_from(["a.b", "c"]), ARGUMENTS), max_size=3)
CALLING = [Field("calls", "tool_calls"), Field("answer")]


def called(*names: str) -> str:
    calls = {"tool_calls": [{"name": name, "args": {}} for name in names]}
    return written(CALLING, [calls, "done"]).replace(str(calls), json.dumps(calls))


@settings(deadline=None, max_examples=50)
@given(calls=CALLS)
def test_calls_of_the_tools_on_offer_match_and_are_read_back(calls: list[Call]) -> None:
    value = calls_as_dict(calls)
    text = json.dumps(value, ensure_ascii=False)
    reply = f"[[ ## calls ## ]]\n{text}\n\n[[ ## answer ## ]]\ndone\n\n[[ ## completed ## ]]\n"
    assert re.fullmatch(output_pattern(CALLING, OFFER), reply)
    assert read(CALLING, reply) == {"calls": value, "answer": "done"}


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_whatever_matches_is_read_as_calls_on_offer(data: st.DataObject) -> None:
    offer = Offer(OFFER.tools[1:], fewest=1, most=1)
    reply = data.draw(matching(output_pattern(CALLING, offer)))
    assert [call["name"] for call in read(CALLING, reply)["calls"]["tool_calls"]] == ["c"]


@pytest.mark.parametrize(
    ("offer", "names", "matches"),
    [
        (OFFER, ["c", "a.b"], True),
        (OFFER, ["d"], False),
        (OFFER, ["aXb"], False),
        (Offer(), [], True),
        (Offer(), ["c"], False),
        (Offer(OFFER.tools, fewest=1), [], False),
        (Offer(OFFER.tools, fewest=1), ["c", "c"], True),
        (Offer(OFFER.tools, most=1), ["c", "c"], False),
        (Offer(OFFER.tools, most=1), [], True),
        (Offer(OFFER.tools, most=0), ["c"], False),
    ],
)
def test_only_as_many_calls_of_tools_on_offer_match_as_are_wanted(
    offer: Offer, names: list[str], matches: bool
) -> None:
    assert bool(re.fullmatch(output_pattern(CALLING, offer), called(*names))) is matches


@pytest.mark.parametrize("said", ["1", "2", "LOW", "HIGH"])
def test_a_member_of_an_enum_may_be_written_by_its_value_or_its_name(said: str) -> None:
    outputs = [Field("answer", "enum", ("1", "2"), names=("LOW", "HIGH"))]
    reply = written(outputs, [said])
    assert re.fullmatch(output_pattern(outputs), reply)
    assert read(outputs, reply)["answer"] in ("1", "2")
    assert not re.fullmatch(output_pattern(outputs), written(outputs, ["3"]))
