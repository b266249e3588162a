"""Tests for gateway/cache/kept.py and key.py: what is kept of an answer, and under what."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.kept import KeptInvalid, pieces_of, read_kept, write_kept
from gateway.cache.key import Asking
from programs.execution import Outcome, Step
from programs.plan import Field
from programs.tools import Offer, read_offer

FIELDS = (Field("reasoning"), Field("answer"), Field("count", "int"))
WHOLE = Outcome({"reasoning": "r", "answer": "a", "count": 3}, (Step("raw", "stop", None),))
ASKING = Asking("quiz@0123456789ab", "key-1", 100)
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def test_a_whole_answer_comes_back_with_what_it_cost() -> None:
    data = write_kept(WHOLE, 0.25)
    assert data is not None
    kept = read_kept(data, FIELDS)
    assert (kept.outputs, kept.usd) == (WHOLE.outputs, 0.25)
    assert kept.outcome.complete and kept.outcome.finish_reason == "stop" and not kept.outcome.steps


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome({"answer": "a"}, (Step("raw", "length", None),), complete=False),
        Outcome({"answer": "a"}, (Step("raw", "length", None),)),
        Outcome({"answer": "a"}, (Step("raw", "content_filter", None),)),
        Outcome({"answer": object()}, (Step("raw", "stop", None),)),
        Outcome({"answer": {1: "a", "1": "b"}}, (Step("raw", "stop", None),)),
    ],
)
def test_what_was_cut_or_can_not_come_back_as_it_was_is_not_kept(outcome: Outcome) -> None:
    assert write_kept(outcome, None) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"format": 2},
        {"outputs": []},
        {"outputs": {"strange": "x"}},
        {"usd": -1},
        {"usd": True},
        {"usd": "1"},
        {"code": "import os"},
    ],
)
def test_what_others_wrote_there_is_refused(changed: dict[str, Any]) -> None:
    data = write_kept(WHOLE, None)
    assert data is not None
    with pytest.raises(KeptInvalid):
        read_kept(json.dumps({**json.loads(data), **changed}).encode(), FIELDS)


@pytest.mark.parametrize("data", [b"", b"[]", b"\x80\x04K\x01.", b"[" * 5_000, b'{"format": NaN}'])
def test_bytes_that_are_no_answer_are_refused(data: bytes) -> None:
    with pytest.raises(KeptInvalid):
        read_kept(data, FIELDS)


@given(st.text())
def test_the_pieces_of_a_stream_are_the_text(text: str) -> None:
    pieces = list(pieces_of({"answer": text, "count": 3}, FIELDS))
    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.text for piece in pieces)


def test_a_stream_has_a_few_words_in_each_piece() -> None:
    pieces = [piece.text for piece in pieces_of({"answer": "a plain sentence of words. " * 20}, FIELDS)]
    assert len(pieces) > 15 and all(piece.endswith(" ") for piece in pieces)


def test_the_order_of_inputs_and_parameters_does_not_matter_and_that_inside_a_value_does() -> None:
    one, other = {"a": {"x": 1, "y": 2}, "b": 1}, {"b": 1, "a": {"x": 1, "y": 2}}
    assert ASKING.key(one, {"seed": 1, "top_p": 1}) == ASKING.key(other, {"top_p": 1, "seed": 1})
    assert ASKING.key(one, {}) != ASKING.key({"a": {"y": 2, "x": 1}, "b": 1}, {})


def test_whatever_decides_an_answer_is_in_its_key() -> None:
    inputs: dict[str, Any] = {"question": "q"}
    keys = {
        ASKING.key(inputs, {}),
        ASKING.key({"question": "q "}, {}),
        ASKING.key({"question": ["q"]}, {}),
        ASKING.key(inputs, {"temperature": 0}),
        ASKING.key(inputs, {"temperature": False}),
        Asking("quiz@ba9876543210", "key-1", 100).key(inputs, {}),
        Asking(ASKING.release, "key-2", 100).key(inputs, {}),
        Asking(ASKING.release, "", 100).key(inputs, {}),
        Asking(ASKING.release, None, 100).key(inputs, {}),
        Asking(ASKING.release, "key-1", None).key(inputs, {}),
        *(
            ASKING.key({"question": "q", "tools": offer}, {})
            for offer in (Offer(), read_offer([TOOL]), Offer(read_offer([TOOL]).tools, most=1))
        ),
    }
    assert len(keys) == 13 and None not in keys


def test_an_input_that_can_not_be_written_down_has_no_key() -> None:
    assert ASKING.key({"question": object()}, {}) is None
