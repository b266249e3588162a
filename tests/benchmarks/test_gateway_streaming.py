"""Tests for benchmarks/gateway_streaming.py and its two processes: what is sent, read and judged."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.gateway_stand import MISSED, PASSED, exit_code
from benchmarks.gateway_streaming import Round, line, verdicts
from benchmarks.token_reader import Heard, Told, heard, read_parts
from benchmarks.token_upstream import STREAM_END, Order, event, read_order, whole_reply

HEARD = Heard(1000, 1000, 30_000.0, 1.0, 2.0, 4.0, 0.8)
ROUND = Round(HEARD, HEARD, HEARD, HEARD, replace(HEARD, first_token_ms=0.2))


def said(stamp: int) -> bytes:
    return b'data: {"choices":[{"delta":{"content":" %016d"}}]}\n\n' % stamp


def test_an_order_stands_in_the_question_of_a_streamed_request() -> None:
    assert read_order(b'{"messages":["tokens=300 step_ms=10"],"stream":true}') == Order(300, 0.01)
    assert read_order(b'{"messages":["tokens=300 step_ms=10"]}') is None
    assert read_order(b'{"messages":["Hello"],"stream":true}') is None


def test_a_piece_is_one_chunk_that_holds_one_event() -> None:
    size, rest = event(b" 0000000000000042").split(b"\r\n", 1)
    assert len(rest) == int(size, 16) + 2
    assert rest.startswith(b"data: {") and rest.endswith(b"}\n\n\r\n")
    assert STREAM_END.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_what_is_no_stream_is_answered_whole_and_what_is_unknown_is_not_there() -> None:
    assert b"26" in whole_reply(b"POST /v1/chat/completions HTTP/1.1\r\n\r\n{}")
    assert b'"tiny"' in whole_reply(b"GET /v1/models HTTP/1.1\r\n\r\n")
    assert whole_reply(b"POST /tokenize HTTP/1.1\r\n\r\n{}").startswith(b"HTTP/1.1 404")


def test_tokens_are_found_wherever_reads_cut_them() -> None:
    whole = said(10) + said(20) + said(30)
    for cut in range(1, len(whole)):
        told = read_parts(0, [(100, whole[:cut]), (200, whole[cut:])])
        assert [sent for sent, _ in told.tokens] == [10, 20, 30]
        assert told.deltas == 3


def test_an_answer_told_again_at_the_end_adds_nothing() -> None:
    again = b'data: {"choices":[{"delta":{"outputs":{"answer":"%016d %016d"}}}]}\n\n' % (10, 20)
    told = read_parts(0, [(100, said(10) + said(20)), (200, again)])
    assert told == Told(0, [(10, 100), (20, 100)], deltas=2)


def test_the_first_token_of_a_field_has_no_space_before_it() -> None:
    told = read_parts(0, [(100, b'data: {"delta":{"content":"%016d"}}\n\n' % 10)])
    assert told.tokens == [(10, 100)]


def test_streams_are_summed_up_together() -> None:
    second = 1_000_000_000
    told = [
        Told(0, [(second // 2, second // 2 + 1_000_000), (second, second + 3_000_000)], deltas=1),
        Told(0, [(second // 2, second // 2 + 2_000_000)], deltas=1),
    ]
    seen = heard(told)
    assert (seen.tokens, seen.deltas) == (3, 2)
    assert (seen.wait_p50_ms, seen.wait_max_ms) == (2.0, 3.0)
    assert seen.first_token_ms == 501.5
    assert seen.tokens_per_second == round(3 / 1.003, 1)


def test_each_bound_can_be_missed() -> None:
    assert exit_code(verdicts([ROUND])) == PASSED
    for missed in (
        replace(ROUND, outrun=replace(HEARD, tokens_per_second=20_000.0)),
        replace(ROUND, steps=replace(HEARD, deltas=980)),
        replace(ROUND, steps=replace(HEARD, wait_max_ms=5.5)),
        replace(ROUND, single_past=replace(HEARD, first_token_ms=-0.5)),
    ):
        assert [it.held for it in verdicts([missed])].count(False) == 1
        assert exit_code(verdicts([missed])) == MISSED


def test_one_long_wait_in_any_round_counts() -> None:
    slow = replace(ROUND, steps=replace(HEARD, wait_max_ms=9.0))
    assert exit_code(verdicts([ROUND, slow, ROUND])) == MISSED


def test_a_round_is_told_in_one_line() -> None:
    assert "30,000 tokens/s in 1,000 deltas; waits 1.00 / 2.00 / 4.00 ms" in line(ROUND)
