"""How the client waits: for slow engines, for busy ones, and for one that starts again."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from engine.client import Delta, EngineClient, Timeouts
from engine.errors import EngineRateLimited, EngineServerError, EngineTimeout, EngineUnreachable
from tests.engine.scripted_server import DONE, chunk, completion, never, replying, serving, streaming

pytestmark = pytest.mark.asyncio

ASK = [{"role": "user", "content": "2 + 2?"}]


async def collect(client: EngineClient) -> list[Delta]:
    return [delta async for delta in client.stream(ASK, {})]


async def test_the_time_to_the_first_byte_is_limited() -> None:
    async with (
        serving(never) as server,
        EngineClient(server.url, "tiny", timeouts=Timeouts(first_byte=0.05)) as client,
    ):
        with pytest.raises(EngineTimeout, match=r"0\.05 s to begin") as caught:
            await client.complete(ASK, {})
        assert caught.value.phase == "first_byte"
        await asyncio.wait_for(server.left.wait(), 2)


async def test_the_time_between_two_parts_is_limited() -> None:
    parts = (chunk({"content": "4"}), chunk({"content": "2"}, "stop"))
    async with (
        serving(streaming(*parts, pause=5)) as server,
        EngineClient(server.url, "tiny", timeouts=Timeouts(between=0.05)) as client,
    ):
        with pytest.raises(EngineTimeout) as caught:
            await collect(client)
    assert caught.value.phase == "between"


async def test_the_whole_call_is_limited_however_steadily_parts_come() -> None:
    parts = [chunk({"content": "."})] * 100
    async with (
        serving(streaming(*parts, pause=0.02)) as server,
        EngineClient(server.url, "tiny", timeouts=Timeouts(total=0.15)) as client,
    ):
        with pytest.raises(EngineTimeout) as caught:
            await collect(client)
    assert caught.value.phase == "total"


async def test_retry_after_is_kept() -> None:
    async with (
        serving(replying({"error": "slow down"}, 429, {"Retry-After": "7"})) as server,
        EngineClient(server.url, "tiny") as client,
    ):
        with pytest.raises(EngineRateLimited) as caught:
            await client.complete(ASK, {})
    assert caught.value.retry_after == 7.0


async def test_an_engine_that_started_again_is_reached_by_the_next_call() -> None:
    async with serving(replying(completion("before"))) as server:
        client = EngineClient(server.url, "tiny")
        assert (await client.complete(ASK, {})).text == "before"
    async with client:
        with pytest.raises(EngineUnreachable):
            await client.complete(ASK, {})
        async with serving(replying(completion("after")), urlsplit(server.url).port or 0):
            assert (await client.complete(ASK, {})).text == "after"


async def test_an_engine_that_ends_in_the_middle_of_a_call_is_unreachable_at_once() -> None:
    async def dies(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(dies) as server, EngineClient(server.url, "tiny") as client:
        begun = time.monotonic()
        with pytest.raises(EngineUnreachable) as caught:
            await client.complete(ASK, {})
        assert caught.value.retryable and time.monotonic() - begun < 2
        assert len(server.bodies) == 1


@pytest.mark.parametrize("status", [502, 503])
async def test_a_proxy_before_an_engine_that_is_starting_says_to_come_back(status: int) -> None:
    async with (
        serving(replying({"detail": "starting"}, status)) as server,
        EngineClient(server.url, "tiny") as client,
    ):
        with pytest.raises(EngineServerError, match="starting") as caught:
            await client.complete(ASK, {})
    assert caught.value.retryable and caught.value.status == status


async def test_a_reply_that_trickles_in_is_limited_from_the_beginning() -> None:
    async with (
        serving(streaming(*[b" "] * 100, pause=0.02)) as server,
        EngineClient(server.url, "tiny", timeouts=Timeouts(first_byte=0.15)) as client,
    ):
        with pytest.raises(EngineTimeout) as caught:
            await client.complete(ASK, {})
    assert caught.value.phase == "first_byte" and caught.value.retryable


async def test_a_slow_reply_within_its_time_is_a_reply() -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.1)
        return web.json_response(completion())

    async with (
        serving(slow) as server,
        EngineClient(server.url, "tiny", timeouts=Timeouts(first_byte=5, between=0.05)) as client,
    ):
        assert (await client.complete(ASK, {})).text == "four"


async def test_signs_of_life_before_the_first_token_keep_a_stream_open() -> None:
    waits = [b": working on the prompt\n\n"] * 5
    parts = (*waits, chunk({"content": "4"}, "stop"), DONE)
    async with (
        serving(streaming(*parts, pause=0.1)) as server,
        EngineClient(server.url, "tiny", timeouts=Timeouts(first_byte=0.5, between=0.4)) as client,
    ):
        assert "".join(delta.text for delta in await collect(client)) == "4"


async def test_after_being_told_to_wait_the_same_connection_serves_again() -> None:
    answers = iter([web.json_response({"error": "slow down"}, status=429), web.json_response(completion())])

    async def once_busy(request: web.Request) -> web.StreamResponse:
        return next(answers)

    async with serving(once_busy) as server, EngineClient(server.url, "tiny") as client:
        with pytest.raises(EngineRateLimited) as caught:
            await client.complete(ASK, {})
        assert caught.value.retry_after is None
        assert (await client.complete(ASK, {})).text == "four"
        assert len(set(server.peers)) == 1


async def test_a_connection_that_lay_unused_too_long_is_not_used_again() -> None:
    async with (
        serving(replying(completion())) as server,
        EngineClient(server.url, "tiny", timeouts=Timeouts(idle=0.05)) as client,
    ):
        await client.complete(ASK, {})
        await asyncio.sleep(0.1)
        await client.complete(ASK, {})
    assert len(set(server.peers)) == 2
