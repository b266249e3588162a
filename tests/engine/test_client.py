"""The client against real servers: what it sends, what it reads, when it gives up, what it leaves."""

from __future__ import annotations

import asyncio
import socket
from contextlib import aclosing

import orjson
import pytest
from aiohttp import web

from engine.chat import read_usage
from engine.client import Delta, EngineClient, ModelCard, Reply, Usage
from engine.errors import (
    ContextWindowExceeded,
    EngineCredentialRefused,
    EngineReplyInvalid,
    EngineRequestRefused,
    EngineServerError,
    EngineUnreachable,
)
from tests.engine.scripted_server import (
    DONE,
    USAGE,
    chunk,
    completion,
    event,
    never,
    replying,
    serving,
    streaming,
)

pytestmark = pytest.mark.asyncio

ASK = [{"role": "user", "content": "2 + 2?"}]


async def collect(client: EngineClient) -> list[Delta]:
    return [delta async for delta in client.stream(ASK, {})]


async def test_complete_reads_text_usage_and_model() -> None:
    async with serving(replying(completion())) as server, EngineClient(server.url, "tiny") as client:
        reply = await client.complete(ASK, {"temperature": 0})
    assert reply == Reply("four", "", "stop", Usage(12, 3, 8), "tiny")
    assert server.bodies == [{"model": "tiny", "messages": ASK, "temperature": 0}]


async def test_a_url_with_v1_and_one_without_are_the_same() -> None:
    async with serving(replying(completion())) as server, EngineClient(f"{server.url}/v1/", "tiny") as client:
        assert (await client.complete(ASK, {})).text == "four"
        assert client.url == server.url


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
async def test_reasoning_is_read_under_either_name(name: str) -> None:
    async with (
        serving(replying(completion(**{name: "two and two"}))) as server,
        EngineClient(server.url, "tiny") as client,
    ):
        assert (await client.complete(ASK, {})).reasoning == "two and two"


async def test_serialised_fragments_travel_byte_for_byte() -> None:
    fragment = orjson.Fragment(b'{"role": "system",  "content": "Be brief."}')
    async with serving(replying(completion())) as server, EngineClient(server.url, "tiny") as client:
        await client.complete([fragment, *ASK], {})
    assert server.bodies[0]["messages"] == [{"role": "system", "content": "Be brief."}, *ASK]


async def test_the_key_travels_as_bearer_and_nothing_travels_without_one() -> None:
    async with serving(replying(completion())) as server:
        async with EngineClient(server.url, "tiny", key="sk-canary") as client:
            await client.complete(ASK, {})
        async with EngineClient(server.url, "tiny") as client:
            await client.complete(ASK, {})
    assert server.headers[0]["Authorization"] == "Bearer sk-canary"
    assert "Authorization" not in server.headers[1]


async def test_connections_are_reused_by_calls_and_by_finished_streams() -> None:
    parts = (chunk({"content": "4"}, "stop"), DONE)
    async with serving(streaming(*parts)) as server, EngineClient(server.url, "tiny") as client:
        for _ in range(3):
            await collect(client)
    assert len(set(server.peers)) == 1


PARTS = (
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "fo"}),
    chunk({"content": "ur"}, "stop"),
)


async def test_stream_gives_a_delta_for_each_arrival_and_usage_last() -> None:
    async with (
        serving(streaming(*PARTS, USAGE, DONE, pause=0.1)) as server,
        EngineClient(server.url, "tiny") as client,
    ):
        deltas = await collect(client)
    assert deltas == [Delta(), Delta("fo"), Delta("ur", finish_reason="stop"), Delta(usage=Usage(12, 2))]
    assert server.bodies[0]["stream_options"] == {"include_usage": True}


async def test_what_arrives_together_is_one_delta() -> None:
    together = b"".join([*PARTS, USAGE, DONE])
    async with serving(streaming(together)) as server, EngineClient(server.url, "tiny") as client:
        assert await collect(client) == [Delta("four", finish_reason="stop"), Delta(usage=Usage(12, 2))]


async def test_of_usage_repeated_in_every_chunk_the_last_counts() -> None:
    first, second = ({"prompt_tokens": 9, "completion_tokens": n} for n in (1, 2))
    parts = (chunk({"content": "a"}, usage=first), chunk({"content": "b"}, "stop", usage=second), DONE)
    async with serving(streaming(*parts)) as server, EngineClient(server.url, "tiny") as client:
        deltas = await collect(client)
    assert deltas[-1] == Delta(usage=Usage(9, 2))
    assert {delta.usage for delta in deltas[:-1]} == {None}


async def test_an_event_cut_at_every_byte_is_still_one_event() -> None:
    whole = chunk({"content": "f\u00fcnf"}) + chunk({}, "stop") + DONE
    parts = [whole[place : place + 1] for place in range(len(whole))]
    async with serving(streaming(*parts)) as server, EngineClient(server.url, "tiny") as client:
        assert "".join(delta.text for delta in await collect(client)) == "f\u00fcnf"


async def test_a_stream_without_done_is_complete_once_it_finished() -> None:
    async with (
        serving(streaming(chunk({"content": "4"}, "length"))) as server,
        EngineClient(server.url, "tiny") as client,
    ):
        assert [delta.finish_reason for delta in await collect(client)] == ["length"]


async def test_a_stream_that_stops_in_the_middle_is_invalid() -> None:
    async with (
        serving(streaming(chunk({"content": "4"}))) as server,
        EngineClient(server.url, "tiny") as client,
    ):
        with pytest.raises(EngineReplyInvalid, match="without a finish_reason"):
            await collect(client)


async def test_an_error_inside_a_stream_is_raised_after_what_came_before() -> None:
    broken = event({"error": {"message": "maximum context length is 64 tokens", "code": 400}})
    seen: list[str] = []
    async with (
        serving(streaming(chunk({"content": "4"}), broken)) as server,
        EngineClient(server.url, "tiny") as client,
    ):
        with pytest.raises(ContextWindowExceeded):
            async for delta in client.stream(ASK, {}):
                seen.append(delta.text)
    assert seen == ["4"]


async def test_an_error_that_arrives_with_pieces_is_raised_after_them() -> None:
    broken = event({"error": {"message": "maximum context length is 64 tokens", "code": 400}})
    together = chunk({"content": "4"}) + broken + chunk({"content": "2"}, "stop")
    seen: list[str] = []
    async with serving(streaming(together)) as server, EngineClient(server.url, "tiny") as client:
        with pytest.raises(ContextWindowExceeded):
            async for delta in client.stream(ASK, {}):
                seen.append(delta.text)
    assert seen == ["4"]


async def test_a_connection_that_breaks_in_a_stream_is_unreachable() -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(chunk({"content": "4"}))
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(half) as server, EngineClient(server.url, "tiny") as client:
        with pytest.raises(EngineUnreachable):
            await collect(client)


async def test_no_server_is_unreachable_and_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        async with EngineClient(url, "tiny") as client:
            with pytest.raises(EngineUnreachable, match=url):
                await client.complete(ASK, {})


async def test_cancelling_a_call_closes_its_connection_at_once() -> None:
    async with serving(never) as server, EngineClient(server.url, "tiny") as client:
        call = asyncio.create_task(client.complete(ASK, {}))
        await asyncio.wait_for(server.arrived.wait(), 2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(server.left.wait(), 2)


async def test_closing_a_stream_closes_its_connection_at_once() -> None:
    parts = [chunk({"content": "."})] * 100
    async with serving(streaming(*parts, pause=0.05)) as server, EngineClient(server.url, "tiny") as client:
        async with aclosing(client.stream(ASK, {})) as stream:
            await anext(stream)
        await asyncio.wait_for(server.left.wait(), 2)


async def test_cancelling_before_the_first_token_closes_the_stream() -> None:
    async with serving(never) as server, EngineClient(server.url, "tiny") as client:
        call = asyncio.create_task(collect(client))
        await asyncio.wait_for(server.arrived.wait(), 2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(server.left.wait(), 2)


async def test_the_servers_sentence_comes_through_when_it_refuses() -> None:
    body = {"error": {"message": "top_q is not a field", "type": "BadRequestError", "code": 400}}
    async with serving(replying(body, 400)) as server, EngineClient(server.url, "tiny") as client:
        with pytest.raises(EngineRequestRefused, match="400 Bad Request: top_q is not a field") as caught:
            await client.complete(ASK, {})
    assert caught.value.status == 400


@pytest.mark.parametrize("body", [{"error": {"message": "no such key: sk-canary"}}, "no such key: sk-canary"])
async def test_a_refused_key_never_shows_in_the_error(body: object) -> None:
    async with (
        serving(replying(body, 401)) as server,
        EngineClient(server.url, "tiny", key="sk-canary") as client,
    ):
        with pytest.raises(EngineCredentialRefused, match="no such key") as caught:
            await client.complete(ASK, {})
    assert "sk-canary" not in str(caught.value)


async def test_a_key_never_shows_in_a_streams_error_either() -> None:
    said = event({"error": {"message": "no such key: sk-canary", "code": 401}})
    async with (
        serving(streaming(said)) as server,
        EngineClient(server.url, "tiny", key="sk-canary") as client,
    ):
        with pytest.raises(EngineCredentialRefused, match="no such key") as caught:
            await collect(client)
    assert "sk-canary" not in str(caught.value)


async def test_redirects_are_not_followed() -> None:
    async with (
        serving(replying({}, 307, {"Location": "http://127.0.0.1:9/"})) as server,
        EngineClient(server.url, "tiny", key="sk-canary") as client,
    ):
        with pytest.raises(EngineReplyInvalid, match="307"):
            await client.complete(ASK, {})


@pytest.mark.parametrize("body", [{"choices": []}, {"object": "list"}, ["no", "object"], {"choices": [{}]}])
async def test_a_reply_that_is_no_completion_is_invalid(body: object) -> None:
    async with serving(replying(body)) as server, EngineClient(server.url, "tiny") as client:
        with pytest.raises(EngineReplyInvalid):
            await client.complete(ASK, {})


@pytest.mark.parametrize(
    "sent, told",
    [
        ("<html>my own words</html>", "something else than JSON: 25 bytes, like a page"),
        ('{"choices": [{"text": "my own words', "something else than JSON: 35 bytes, wrong at character 35"),
        ('"my own words"', "JSON that is no object, in 14 bytes"),
    ],
)
async def test_what_is_no_json_object_is_described_but_not_quoted(sent: str, told: str) -> None:
    async def reply(request: web.Request) -> web.StreamResponse:
        return web.Response(text=sent, content_type="text/html")

    async with serving(reply) as server, EngineClient(server.url, "tiny") as client:
        with pytest.raises(EngineReplyInvalid, match=told) as caught:
            await client.complete(ASK, {})
    assert "own words" not in str(caught.value)


async def test_what_json_cannot_hold_is_refused_before_sending() -> None:
    async with EngineClient("http://127.0.0.1:9", "tiny") as client:
        with pytest.raises(EngineRequestRefused, match="JSON"):
            await client.complete([{"role": "user", "content": "\ud800"}], {})


async def test_models_are_listed_with_their_context_under_any_name() -> None:
    body = {
        "data": [
            {"id": "a", "max_model_len": 8192},
            {"id": "b", "state": "not-loaded", "max_context_length": 4096},
            {"id": "c", "meta": {"n_ctx_train": 2048}},
        ]
    }
    async with serving(replying(body)) as server, EngineClient(server.url, "tiny") as client:
        assert await client.models() == [
            ModelCard("a", 8192),
            ModelCard("b", 4096, False),
            ModelCard("c", 2048),
        ]


async def test_tokenize_returns_the_servers_token_ids() -> None:
    async with (
        serving(replying({"count": 2, "tokens": [5, 7]})) as server,
        EngineClient(server.url, "tiny") as client,
    ):
        assert await client.tokenize(ASK) == [5, 7]
    assert server.bodies == [{"model": "tiny", "messages": ASK}]


@pytest.mark.parametrize(
    ("status", "body"), [(404, {}), (405, {}), (501, {}), (200, {"tokens": []}), (200, {})]
)
async def test_tokenize_is_none_where_a_server_has_no_such_thing(status: int, body: object) -> None:
    async with serving(replying(body, status)) as server, EngineClient(server.url, "tiny") as client:
        assert await client.tokenize(ASK) is None


async def test_tokenize_does_not_hide_a_failing_server() -> None:
    async with serving(replying({}, 500)) as server, EngineClient(server.url, "tiny") as client:
        with pytest.raises(EngineServerError):
            await client.tokenize(ASK)


async def test_one_client_serves_two_event_loops() -> None:
    async with serving(replying(completion())) as server, EngineClient(server.url, "tiny") as client:

        async def elsewhere() -> str:
            try:
                return (await client.complete(ASK, {})).text
            finally:
                await client.close()

        assert await asyncio.to_thread(asyncio.run, elsewhere()) == "four"
        assert (await client.complete(ASK, {})).text == "four"


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"prompt_tokens": -5, "completion_tokens": 2}, None),
        ({"prompt_tokens": 5, "completion_tokens": 2**64 - 1}, None),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}, Usage(5, 0, 5)),
    ],
)
async def test_counts_that_no_call_can_have_are_as_good_as_untold(
    counts: dict[str, object], expected: Usage | None
) -> None:
    assert read_usage({"usage": counts}) == expected
