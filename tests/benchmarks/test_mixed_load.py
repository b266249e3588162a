"""Tests for benchmarks/mixed_load.py and the connections that it asks on: which answer is as it must be."""

from __future__ import annotations

import asyncio
import json

import pytest

from benchmarks.kept_connection import Answer, KeptConnection, post
from benchmarks.mixed_load import Kind, Seen, kinds, percentile_of, what_is_wrong
from tests.engine.raw_server import HEAD, WHOLE, answering, sending

CHAT, STREAM = Kind("chat", 1, []), Kind("streamed", 1, [], ends=b"data: [DONE]\n\n")
RIGHT = Answer(200, b"data: 000000007\n\ndata: [DONE]\n\n", whole=True)
MESSAGE = post("/v1/chat/completions", {"model": "quiz"})


def test_every_kind_of_request_says_what_it_must_be_answered_with() -> None:
    refused = [kind for kind in kinds() if kind.status != 200]
    assert {kind.status for kind in refused} == {400, 404}
    assert all(kind.ends for kind in kinds() if "streamed" in kind.name)
    assert {kind.leaves for kind in kinds()} == {"", "waiting", "reading"}


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (RIGHT, ""),
        (RIGHT._replace(whole=False), "broken off"),
        (RIGHT._replace(status=502), "status 502"),
        (RIGHT._replace(body=b"000000008 data: [DONE]\n\n"), "another request's answer"),
        (RIGHT._replace(body=b"000000007"), "not ended as it should"),
    ],
)
def test_an_answer_must_be_whole_and_ones_own(answer: Answer, wrong: str) -> None:
    assert what_is_wrong(STREAM, 7, answer) == wrong


def test_who_leaves_while_reading_has_read_something() -> None:
    nothing, waiting = Answer(0, b"", whole=False), Kind("left", 1, [], leaves="waiting")
    assert what_is_wrong(waiting, 7, nothing) == ""
    assert what_is_wrong(waiting._replace(leaves="reading"), 7, nothing) == "status 0"


def test_what_was_seen_comes_back_from_another_process() -> None:
    seen = Seen()
    for seconds in (0.01, 0.01, 0.01, 3.0):
        seen.note(CHAT, 7, RIGHT, seconds)
    seen.note(CHAT, 8, RIGHT, 0.01)
    read = Seen.read(json.loads(json.dumps(vars(seen))))
    assert read == seen and read.errors == {"chat: another request's answer": 1}
    assert percentile_of(read.waits["chat"], 0.5) == pytest.approx(0.01, rel=0.1)
    assert percentile_of(read.waits["chat"], 0.99) == pytest.approx(3.0, rel=0.1)


async def test_a_connection_is_kept_and_opened_again_where_the_server_says_that_it_was_the_last() -> None:
    last = WHOLE.replace(HEAD, HEAD + b"Connection: close\r\n")
    async with answering(WHOLE, WHOLE, last, WHOLE) as server:
        connection = KeptConnection(int(server.url.rpartition(":")[2]))
        for _ in range(4):
            answer = await connection.ask(MESSAGE)
            assert (answer.status, answer.whole) == (200, True)
        connection.close()
    assert (len(server.requests), server.connections) == (4, 2)


async def test_a_request_whose_connection_breaks_is_not_asked_again() -> None:
    async with answering(sending(WHOLE[:-5], then_close=True), WHOLE) as server:
        connection = KeptConnection(int(server.url.rpartition(":")[2]))
        assert (await connection.ask(MESSAGE)).whole is False
        assert len(server.requests) == 1
        assert (await connection.ask(MESSAGE)).whole is True
        connection.close()


async def test_a_client_leaves_when_it_has_read_something() -> None:
    async with answering(sending(WHOLE[:-5])) as server:
        connection = KeptConnection(int(server.url.rpartition(":")[2]))
        left = await asyncio.wait_for(connection.leave(MESSAGE, 0.0, begun=True), 10)
        assert left.status == 200 and left.body and not left.whole
