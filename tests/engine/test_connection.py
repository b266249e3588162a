"""What servers and the networks before them do to HTTP, and what the engine's client makes of it."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from engine.client import EngineClient, Timeouts
from engine.errors import EngineReplyInvalid, EngineUnreachable
from engine.sse import EventReader
from tests.engine.raw_server import BODY, HEAD, WHOLE, Answer, answering, sending
from tests.engine.scripted_server import DONE, chunk

pytestmark = pytest.mark.asyncio

ASK = [{"role": "user", "content": "2 + 2?"}]
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def chunks(*parts: bytes, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    framed = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    return framed + b"0\r\n" + trailer + b"\r\n"


@pytest.mark.parametrize(
    "reply",
    [
        CHUNKED + chunks(BODY[:9], BODY[9:]),
        CHUNKED + chunks(BODY[:9], BODY[9:], extension=b';name="a value"'),
        CHUNKED + chunks(BODY, trailer=b"X-Checksum: 1\r\nContent-Type: text/plain\r\n"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + WHOLE,
        WHOLE.replace(b"\r\n\r\n", b"\r\nX-Empty:\r\nX-Long: " + b"a" * 30_000 + b"\r\n\r\n", 1),
    ],
    ids=["chunked", "chunk extensions", "trailers", "continue", "early hints", "a long head"],
)
async def test_every_form_of_a_reply_is_read_and_its_connection_serves_again(reply: bytes) -> None:
    async with answering(reply) as server, EngineClient(server.url, "tiny") as client:
        for _ in range(2):
            assert (await client.complete(ASK, {})).text == "four"
        assert server.connections == 1


PACKED = gzip.compress(BODY)


@pytest.mark.parametrize(
    "reply",
    [
        WHOLE,
        CHUNKED + chunks(BODY[:9], BODY[9:], trailer=b"A: b\r\n"),
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(PACKED), PACKED),
    ],
    ids=["sized", "chunked", "packed"],
)
async def test_a_reply_may_be_cut_at_every_byte(reply: bytes) -> None:
    parts = [reply[place : place + 1] for place in range(len(reply))]
    async with answering(sending(*parts)) as server, EngineClient(server.url, "tiny") as client:
        assert (await client.complete(ASK, {})).text == "four"


async def test_a_reply_without_a_length_ends_with_its_connection() -> None:
    endless = sending(HEAD + b"\r\n" + BODY, then_close=True)
    async with answering(endless) as server, EngineClient(server.url, "tiny") as client:
        for _ in range(2):
            assert (await client.complete(ASK, {})).text == "four"
        assert server.connections == 2


async def test_a_reply_that_nobody_wanted_compressed_is_read_all_the_same() -> None:
    packed = gzip.compress(BODY)
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with answering(head + packed) as server, EngineClient(server.url, "tiny") as client:
        assert (await client.complete(ASK, {})).text == "four"


@pytest.mark.parametrize(
    "answer",
    [
        sending(then_close=True),
        sending(then_reset=True),
        sending(HEAD, then_close=True),
        sending(WHOLE[:-5], then_close=True),
        sending(WHOLE[:-5], then_reset=True),
        sending(CHUNKED + chunks(BODY)[:-2], then_close=True),
    ],
    ids=["closed", "reset", "in the head", "in the body", "reset in the body", "before the last chunk"],
)
async def test_a_connection_that_ends_too_early_is_unreachable_and_the_next_call_is_served(
    answer: Answer,
) -> None:
    async with answering(answer, WHOLE) as server, EngineClient(server.url, "tiny") as client:
        with pytest.raises(EngineUnreachable) as caught:
            await client.complete(ASK, {})
        assert caught.value.retryable and server.url in str(caught.value)
        assert (await client.complete(ASK, {})).text == "four"
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "reply",
    [
        b"220 mail.example.org ESMTP\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"not a number\r\n",
        HEAD + b"X-Endless: " + b"a" * 70_000,
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=["smtp", "status", "lengths", "both", "chunk", "head", "upgrade", "no gzip"],
)
async def test_what_is_no_http_is_an_invalid_reply(reply: bytes) -> None:
    async with answering(reply, WHOLE) as server, EngineClient(server.url, "tiny") as client:
        with pytest.raises(EngineReplyInvalid, match="did not answer as an HTTP server should"):
            await client.complete(ASK, {})
        assert (await client.complete(ASK, {})).text == "four"
        assert server.connections == 2


@pytest.mark.parametrize("more", [WHOLE, b"!"])
async def test_a_second_reply_that_nobody_asked_for_is_never_taken_for_the_next(more: bytes) -> None:
    other = WHOLE.replace(b"four", b"five")
    async with answering(WHOLE + more, other) as server, EngineClient(server.url, "tiny") as client:
        assert (await client.complete(ASK, {})).text == "four"
        assert (await client.complete(ASK, {})).text == "five"
        assert server.connections == 2


async def test_a_connection_that_speaks_while_nobody_asks_is_closed() -> None:
    later = sending(WHOLE, b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
    async with answering(later, WHOLE) as server, EngineClient(server.url, "tiny") as client:
        assert (await client.complete(ASK, {})).text == "four"
        await asyncio.sleep(0.05)
        assert (await client.complete(ASK, {})).text == "four"
        assert server.connections == 2


@pytest.mark.parametrize("said", [b"Connection: close\r\n", b"connection: Close\r\n"])
async def test_a_server_that_says_it_closes_is_not_asked_on_that_connection_again(said: bytes) -> None:
    closing = WHOLE.replace(b"\r\n", b"\r\n" + said, 1)
    async with answering(closing) as server, EngineClient(server.url, "tiny") as client:
        for _ in range(2):
            assert (await client.complete(ASK, {})).text == "four"
        assert server.connections == 2


async def test_a_connection_that_ends_under_the_next_request_loses_that_one_only() -> None:
    race = sending(then_close=True)
    async with answering(WHOLE, race, WHOLE) as server, EngineClient(server.url, "tiny") as client:
        await client.complete(ASK, {})
        with pytest.raises(EngineUnreachable, match="closed the connection"):
            await client.complete(ASK, {})
        assert (await client.complete(ASK, {})).text == "four"
        assert len(server.requests) == 3


async def test_a_connection_that_the_server_closed_while_it_was_idle_is_not_used() -> None:
    async with answering(sending(WHOLE, b"", then_close=True)) as server:
        async with EngineClient(server.url, "tiny") as client:
            for _ in range(2):
                assert (await client.complete(ASK, {})).text == "four"
                await asyncio.sleep(0.05)
        assert server.connections == 2


async def test_idle_connections_are_closed_after_a_while() -> None:
    timeouts = Timeouts(idle=0.05)
    async with answering(WHOLE) as server, EngineClient(server.url, "tiny", timeouts=timeouts) as client:
        await client.complete(ASK, {})
        assert server.closed == 0
        await asyncio.sleep(0.2)
        assert server.closed == 1


async def test_a_reader_that_is_slow_gets_all_of_a_long_stream() -> None:
    event = chunk({"content": "x" * 10_000})
    stream = CHUNKED.replace(b"application/json", b"text/event-stream")
    stream += chunks(*[event] * 300, chunk({}, "stop"), DONE)
    got = 0
    async with answering(stream) as server, EngineClient(server.url, "tiny") as client:
        async for delta in client.stream(ASK, {}):
            got += len(delta.text)
            await asyncio.sleep(0.001)
    assert got == 3_000_000


async def test_a_large_reply_is_read_whole() -> None:
    long = BODY.replace(b"four", b"four" * 500_000)
    whole = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(long), long)
    async with answering(whole) as server, EngineClient(server.url, "tiny") as client:
        for _ in range(2):
            assert len((await client.complete(ASK, {})).text) == 2_000_000
        assert server.connections == 1


async def test_a_damaged_reply_that_ends_with_its_connection_is_not_taken_for_a_whole_one() -> None:
    damaged = HEAD + b"Content-Encoding: gzip\r\n\r\n" + PACKED[:10] + b"\xff" * 20
    answer = sending(damaged, then_close=True)
    async with answering(answer) as server, EngineClient(server.url, "tiny") as client:
        with pytest.raises(EngineReplyInvalid, match="as an HTTP server should"):
            await client.complete(ASK, {})


async def test_a_reply_packed_to_fill_the_memory_is_given_up() -> None:
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(260)) + packer.flush()
    head = HEAD + b"Content-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with answering(head + packed) as server, EngineClient(server.url, "tiny") as client:
        with pytest.raises(EngineReplyInvalid):
            await client.complete(ASK, {})


async def test_a_line_without_an_end_is_read_in_time_that_grows_with_its_length() -> None:
    reader = EventReader()
    assert [reader.feed(b"data: " if not number else b"x" * 100) for number in range(20_000)] == [[]] * 20_000
    assert len(reader.finish()[0]) == 1_999_900
