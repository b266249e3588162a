from __future__ import annotations

import json
import math

import pytest

from programs.json_values import MOST_DIGITS, MOST_LEVELS, JsonUnusable, read_json, write_json

NESTED = f"holds lists and objects inside one another, more than {MOST_LEVELS} levels"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff", "is not UTF-8"),
        (b'{"a": ', "is not JSON: Expecting value: column 7"),
        (b"NaN", "is not JSON: NaN is no JSON number"),
        (b"[-Infinity]", "is not JSON: -Infinity is no JSON number"),
        (b'"\\ud83e"', "holds half a character (a \\ud... without its other half)"),
        (b'{"\\uD83E": 1}', "holds half a character (a \\ud... without its other half)"),
        (b"1e400", "holds a number that is too large: '1e400'"),
        (b"9" * 5_000, "holds a number of 5,000 digits; the most are 1,000"),
        (b"[" * 100_000, NESTED),
        (b"[" * 900 + b"]" * 900, NESTED),
        (b'{"a":' * 65 + b"1" + b"}" * 65, NESTED),
    ],
    ids=[
        "bytes",
        "cut",
        "NaN",
        "infinity",
        "half",
        "half a name",
        "float",
        "digits",
        "deep",
        "lists",
        "objects",
    ],
)
def test_what_can_not_be_worked_with_says_how_it_is(data: bytes, said: str) -> None:
    with pytest.raises(JsonUnusable) as caught:
        read_json(data)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "value",
    [
        [[[]]] * 1_000,
        "[" * 1_000,
        10**30,
        int("9" * MOST_DIGITS),
        1e308,
        "\x00\x1b[2J",
        "\U0001f989",
        r"C:\udd",
        {"self": {"base": None}},
    ],
    ids=["wide", "a text of brackets", "large", "digits", "float", "control", "whole", "path", "names"],
)
def test_what_is_only_strange_is_read_and_written_as_it_is(value: object) -> None:
    assert read_json(json.dumps(value).encode()) == value
    assert json.loads(write_json(value)) == value


def test_what_the_fast_writer_refuses_is_written_all_the_same() -> None:
    assert (
        write_json({"n": 10**30, "half": "\ud83e"})
        == b'{"n":1000000000000000000000000000000,"half":"\\ud83e"}'
    )
    assert (
        write_json([10**30, {1, 2}], lambda value: sorted(value))
        == b"[1000000000000000000000000000000,[1,2]]"
    )
    assert write_json(math.inf) == b"null"
