"""Tests for gateway/streaming.py: streamed requests of OpenAI's own client."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest
from openai import APIError, APIStatusError, AsyncOpenAI, OpenAI

from gateway.streaming import StopCutter
from tests.gateway.serving import RunningGateway
from tests.gateway.upstream import COUNTED, REPLY, Script, Upstream

ASK: Any = [{"role": "user", "content": "What is six times seven?"}]


def _content(chunks: list[Any]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def _reasoning(chunks: list[Any]) -> str:
    return "".join(getattr(c.choices[0].delta, "reasoning", None) or "" for c in chunks if c.choices)


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
def test_only_the_answer_and_the_reasoning_are_streamed(
    client: OpenAI, upstream: Upstream, piece: int
) -> None:
    upstream.script = Script(piece=piece)
    chunks = list(client.chat.completions.create(model="quiz", messages=ASK, stream=True))
    assert _content(chunks) == "forty-two"
    assert _reasoning(chunks) == "Six times seven."
    assert not any("[[" in chunk.model_dump_json() for chunk in chunks)


def test_the_first_chunk_has_the_role_and_the_last_the_outputs(client: OpenAI) -> None:
    chunks: list[Any] = list(client.chat.completions.create(model="quiz", messages=ASK, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].choices[0].delta.outputs == {"reasoning": "Six times seven.", "answer": "forty-two"}
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert {f"quiz@{chunk.system_fingerprint}" for chunk in chunks} == {chunks[0].model}


def test_usage_and_cost_come_in_a_last_chunk_when_asked_for(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="quiz", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks: list[Any] = list(stream)
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == len(REPLY.split())
    about = chunks[-1].smallforge
    assert about["release"] == chunks[0].model
    assert 0 < about["cost_usd"] < 0.01 and 0 < about["overhead_ms"] < 1000


def test_no_usage_chunk_without_being_asked(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="quiz", messages=ASK, stream=True))
    assert all(chunk.choices for chunk in chunks)


async def test_the_asynchronous_client_streams_too(gateway: RunningGateway) -> None:
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client:
        stream = await client.chat.completions.create(model="quiz", messages=ASK, stream=True)
        assert _content([chunk async for chunk in stream]) == "forty-two"


def test_a_stream_is_server_sent_events_that_end_with_done(gateway: RunningGateway) -> None:
    reply = httpx.post(
        f"{gateway.url}/v1/chat/completions",
        json={"model": "quiz", "messages": ASK, "stream": True, "user": "u"},
    )
    events = reply.text.split("\n\n")
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["x-smallforge-release"].startswith("quiz@")
    assert reply.headers["x-smallforge-ignored"] == "user"
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(orjson.loads(event.removeprefix("data: ")) for event in events[:-2])


def test_an_answer_of_another_type_is_sent_when_it_is_complete(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(text=COUNTED, piece=1)
    chunks = list(client.chat.completions.create(model="counting", messages=ASK, stream=True))
    said = [c.choices[0].delta.content for c in chunks if c.choices[0].delta.content]
    assert said == ["1234"]


def test_a_reply_cut_by_its_limit_ends_with_length(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(text=REPLY[: REPLY.index("-two")], finish_reason="length")
    chunks = list(client.chat.completions.create(model="quiz", messages=ASK, stream=True))
    assert _content(chunks) == "forty"
    assert chunks[-1].choices[0].finish_reason == "length"


@pytest.mark.parametrize("piece", [1, 4, 100])
def test_a_stop_cuts_the_stream_wherever_the_pieces_break(
    client: OpenAI, upstream: Upstream, piece: int
) -> None:
    upstream.script = Script(piece=piece)
    chunks = list(client.chat.completions.create(model="quiz", messages=ASK, stream=True, stop="y-t"))
    assert _content(chunks) == "fort"


def test_a_failure_before_the_first_text_has_its_own_status(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(status=503)
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(model="quiz", messages=ASK, stream=True)
    assert caught.value.status_code == 502


@pytest.mark.parametrize("trouble", ["cut_midway", "error_midway"])
def test_a_failure_after_the_first_text_is_a_last_error_event(
    client: OpenAI, upstream: Upstream, trouble: Any
) -> None:
    upstream.script = Script(trouble=trouble, piece=1)
    stream = client.chat.completions.create(model="quiz", messages=ASK, stream=True)
    chunks = []
    with pytest.raises(APIError) as caught:
        for chunk in stream:
            chunks.append(chunk)
    assert _reasoning(chunks) == "Six times seven."
    assert caught.value.type == "server_error"


def test_a_reply_without_the_answer_is_a_last_error_event(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(text="[[ ## reasoning ## ]]\nI give up.")
    with pytest.raises(APIError) as caught:
        list(client.chat.completions.create(model="quiz", messages=ASK, stream=True))
    assert caught.value.code == "program_output_invalid"


def test_a_reply_with_nothing_to_show_is_a_502(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(text="no fields at all")
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(model="quiz", messages=ASK, stream=True)
    assert (caught.value.status_code, caught.value.code) == (502, "program_output_invalid")


@pytest.mark.parametrize("text", ["abcSTOPdef", "abcST", "abcSTO P", "STOP", "", "abcSSTOP"])
@pytest.mark.parametrize("cut", range(1, 9))
def test_a_stop_cutter_gives_what_a_whole_text_would(text: str, cut: int) -> None:
    cutter = StopCutter(("STOP", "xyz"))
    pieces = [text[at : at + cut] for at in range(0, len(text), cut)]
    assert "".join([*map(cutter.feed, pieces), cutter.close()]) == text.split("STOP")[0]


def test_a_program_with_checks_streams_its_answer_in_one_piece_after_they_passed(
    client: OpenAI, upstream: Upstream
) -> None:
    upstream.script = Script(REPLY.replace("forty-two", "unspeakable"), then=Script(REPLY))
    chunks = list(client.chat.completions.create(model="checked", messages=ASK, stream=True))
    assert [c.choices[0].delta.content for c in chunks if c.choices[0].delta.content] == ["forty-two"]
    assert _reasoning(chunks) == "Six times seven."
    assert not any("unspeakable" in chunk.model_dump_json() for chunk in chunks)


def test_a_stream_whose_answers_break_a_check_fails_before_it_begins(
    client: OpenAI, upstream: Upstream
) -> None:
    upstream.script = Script(REPLY.replace("forty-two", "unspeakable"))
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(model="checked", messages=ASK, stream=True)
    assert (caught.value.status_code, caught.value.code) == (502, "program_output_invalid")
