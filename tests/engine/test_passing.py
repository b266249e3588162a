"""What is handed on as it is: every byte, as it comes, and only the errors are ours."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import orjson
import pytest

from engine.client import EngineClient, Usage
from engine.errors import EngineReplyInvalid, EngineServerError, EngineUnreachable, EngineWrongModel
from tests.engine.scripted_server import (
    DONE,
    USAGE,
    Handler,
    chunk,
    completion,
    event,
    replying,
    serving,
    streaming,
)

pytestmark = pytest.mark.asyncio

BODY = b'{"model": "tiny", "prompt": "2 + 2 =",  "echo":true}'
COMMENT = b": keep-alive\n\n"


async def pass_on(handler: Handler, *, same_model: bool = False) -> tuple[list[bytes], Usage | None]:
    async with (
        serving(handler) as server,
        EngineClient(server.url, "tiny", same_model=same_model) as client,
        client.passing("/v1/completions", BODY) as reply,
    ):
        if not reply.streams:
            return [await reply.whole()], reply.usage
        return [piece async for piece in reply.pieces()], reply.usage


async def test_a_body_and_its_reply_pass_unchanged() -> None:
    async with serving(replying(completion())) as server, EngineClient(server.url, "tiny") as client:
        async with client.passing("/v1/completions", BODY) as reply:
            data = await reply.whole()
        assert server.bodies == [orjson.loads(BODY)]
    assert orjson.loads(data) == completion()
    assert reply.usage == Usage(12, 3, 8)


async def test_embeddings_count_their_prompt() -> None:
    body = {"object": "list", "data": [], "usage": {"prompt_tokens": 5, "total_tokens": 5}}
    assert (await pass_on(replying(body)))[1] == Usage(5, 0)


async def test_a_stream_passes_as_it_comes_with_all_that_is_in_it() -> None:
    parts = (COMMENT, chunk({"content": "4"}), chunk({"content": "2"}, "stop"), USAGE, DONE)
    pieces, usage = await pass_on(streaming(*parts, pause=0.02))
    assert b"".join(pieces) == b"".join(parts) and len(pieces) >= 4
    assert usage == Usage(12, 2)


async def test_an_event_that_comes_in_two_parts_is_sent_when_it_is_whole() -> None:
    whole = chunk({"content": "forty-two"})
    pieces, _ = await pass_on(streaming(whole[:20], whole[20:], DONE, pause=0.02))
    assert pieces[0].startswith(whole.rstrip(b"\n")) and b"".join(pieces) == whole + DONE


async def test_an_error_inside_a_stream_is_raised_after_what_came_before_it() -> None:
    broken = event({"error": {"message": "out of memory", "code": 500}})
    seen = []
    async with (
        serving(streaming(chunk({"content": "4"}) + broken)) as server,
        EngineClient(server.url, "tiny") as client,
        client.passing("/v1/completions", BODY) as reply,
    ):
        with pytest.raises(EngineServerError, match="out of memory"):
            async for piece in reply.pieces():
                seen.append(piece)
    assert b"".join(seen).strip() == chunk({"content": "4"}).strip()


async def test_an_answer_that_speaks_of_an_error_is_no_error() -> None:
    parts = (chunk({"content": 'the word "error"'}), DONE)
    assert b"".join((await pass_on(streaming(*parts)))[0]) == b"".join(parts)


async def test_a_stream_without_an_end_of_line_is_passed_whole() -> None:
    last = b'data: {"choices": []}'
    assert b"".join((await pass_on(streaming(chunk({}), last)))[0]) == chunk({}) + last


async def test_an_error_with_status_200_is_an_error() -> None:
    with pytest.raises(EngineReplyInvalid, match="Unexpected endpoint"):
        await pass_on(replying({"error": "Unexpected endpoint or method. (POST /v1/completions)"}))


async def test_an_error_with_status_200_is_told_without_our_key() -> None:
    async with (
        serving(replying({"error": "no such key: sk-canary-1234"})) as server,
        EngineClient(server.url, "tiny", key="sk-canary-1234") as client,
    ):
        with pytest.raises(EngineReplyInvalid, match="no such key: \\(the key\\)"):
            await client.complete([], {})
        with pytest.raises(EngineReplyInvalid, match="no such key: \\(the key\\)"):
            async with client.passing("/v1/completions", BODY) as reply:
                await reply.whole()


async def test_another_model_may_not_answer_where_only_one_is_meant() -> None:
    other = {**completion(), "model": "other"}
    with pytest.raises(EngineWrongModel):
        await pass_on(replying(other), same_model=True)
    with pytest.raises(EngineWrongModel):
        await pass_on(streaming(event(other), DONE), same_model=True)
    assert (await pass_on(replying(other)))[1] is not None


async def test_leaving_a_stream_closes_its_connection() -> None:
    parts = [chunk({"content": "."})] * 50
    async with serving(streaming(*parts, pause=0.1)) as server, EngineClient(server.url, "tiny") as client:
        async with client.passing("/v1/completions", BODY) as reply, aclosing(reply.pieces()) as pieces:
            await anext(pieces)
        await asyncio.wait_for(server.left.wait(), 3)


async def test_an_engine_that_is_not_there_is_told_as_ever() -> None:
    async with EngineClient("http://127.0.0.1:1", "tiny") as client:
        with pytest.raises(EngineUnreachable):
            async with client.passing("/v1/embeddings", BODY):
                pass
