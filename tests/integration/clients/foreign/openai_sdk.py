"""OpenAI's client for Python, in whichever version runs this, from its first call to each of its errors.

Reads the gateway's address from GATEWAY; what the engine does with a question stands in its words.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

URL = os.environ["GATEWAY"] + "/v1"


class Quiz(BaseModel):
    reasoning: str
    answer: str


def says(text: str) -> Any:
    return [{"role": "user", "content": text}]


@pytest.fixture
def client() -> Iterator[OpenAI]:
    with OpenAI(base_url=URL, api_key="any", max_retries=0, timeout=20) as client:
        yield client


def test_a_completion_has_answer_reasoning_and_outputs(client: OpenAI) -> None:
    message: Any = client.chat.completions.create(model="quiz", messages=says("6 x 7?")).choices[0].message
    assert (message.content, message.reasoning) == ("forty-two", "Six times seven.")
    assert message.outputs == {"reasoning": "Six times seven.", "answer": "forty-two"}


def test_a_raw_response_has_headers_and_body(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="quiz", messages=says("6 x 7?"))
    assert raw.headers["x-smallforge-release"].startswith("quiz@")
    assert raw.parse().choices[0].message.content == "forty-two"
    with client.chat.completions.with_streaming_response.create(model="quiz", messages=says("q")) as reply:
        assert b"forty-two" in reply.read()


def test_a_stream_comes_in_pieces_with_usage_at_its_end(client: OpenAI) -> None:
    options: Any = {"include_usage": True}
    stream = client.chat.completions.create(
        model="quiz", messages=says("6 x 7?"), stream=True, stream_options=options
    )
    *chunks, last = stream
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "forty-two"
    assert last.usage is not None and last.usage.completion_tokens > 0


def test_a_stream_of_events_ends_with_the_whole_and_its_type(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model="quiz", messages=says("6 x 7?"), response_format=Quiz
    ) as stream:
        kinds = {event.type for event in stream}
        parsed = stream.get_final_completion().choices[0].message.parsed
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert parsed == Quiz(reasoning="Six times seven.", answer="forty-two")


def test_parse_gives_the_callers_own_type(client: OpenAI) -> None:
    reply = client.chat.completions.parse(model="quiz", messages=says("6 x 7?"), response_format=Quiz)
    assert reply.choices[0].message.parsed == Quiz(reasoning="Six times seven.", answer="forty-two")


def test_responses_are_given_streamed_and_parsed(client: OpenAI) -> None:
    assert client.responses.create(model="quiz", input="6 x 7?").output_text == "forty-two"
    with client.responses.stream(model="quiz", input="6 x 7?") as stream:
        deltas = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
    assert deltas == "forty-two"
    parsed = client.responses.parse(model="quiz", input="6 x 7?", text_format=Quiz).output_parsed
    assert parsed == Quiz(reasoning="Six times seven.", answer="forty-two")


def test_models_are_listed_and_shown(client: OpenAI) -> None:
    assert {"quiz", "joking"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("quiz").owned_by == "smallforge"


@pytest.mark.parametrize(
    ("question", "kind", "code"),
    [
        ("always busy", openai.RateLimitError, "rate_limited"),
        ("always failing", openai.InternalServerError, "engine_failed"),
        ("unreadable", openai.InternalServerError, "program_output_invalid"),
        ("too long", openai.BadRequestError, "context_length_exceeded"),
        ("", openai.BadRequestError, "missing_input"),
    ],
)
def test_each_failure_is_an_error_of_its_class(
    client: OpenAI, question: str, kind: type[openai.APIStatusError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model="quiz", messages=says(question))
    assert (caught.value.code, caught.value.response.headers["x-request-id"] != "") == (code, True)


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="nobody", messages=says("q"))
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_a_stream_that_breaks_midway_raises(client: OpenAI) -> None:
    with pytest.raises(openai.APIError) as caught:
        list(client.chat.completions.create(model="quiz", messages=says("breaks midway"), stream=True))
    assert caught.value.code == "engine_unreachable"


@pytest.mark.parametrize("stream", [False, True])
def test_it_waits_as_long_as_a_busy_engine_says_and_asks_again(stream: bool) -> None:
    with OpenAI(base_url=URL, api_key="any", max_retries=2, timeout=20) as client:
        began = time.perf_counter()
        reply = client.chat.completions.create(
            model="quiz", messages=says(f"busy once, {stream}"), stream=stream
        )
        waited = time.perf_counter() - began
        text = (
            "".join(chunk.choices[0].delta.content or "" for chunk in reply)
            if isinstance(reply, openai.Stream)
            else reply.choices[0].message.content
        )
    assert text == "forty-two" and waited >= 1


def test_it_asks_again_where_an_engine_failed_once() -> None:
    with OpenAI(base_url=URL, api_key="any", max_retries=1, timeout=20) as client:
        raw = client.chat.completions.with_raw_response.create(model="quiz", messages=says("failing once"))
    assert raw.retries_taken == 1


@pytest.mark.parametrize("question", ["unreadable", "too long"])
def test_it_does_not_ask_again_what_no_repeat_can_mend(question: str) -> None:
    began = time.perf_counter()
    with OpenAI(base_url=URL, api_key="any", max_retries=5) as client, pytest.raises(openai.APIStatusError):
        client.chat.completions.create(model="quiz", messages=says(question))
    assert time.perf_counter() - began < 5, "the pauses before five repeats take twice as long"


def test_its_own_time_limit_ends_a_wait() -> None:
    with (
        OpenAI(base_url=URL, api_key="any", max_retries=0, timeout=0.3) as client,
        pytest.raises(openai.APITimeoutError),
    ):
        client.chat.completions.create(model="quiz", messages=says("slow"))


async def test_the_asynchronous_client_does_all_of_it_too() -> None:
    async with AsyncOpenAI(base_url=URL, api_key="any", max_retries=1, timeout=20) as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="quiz", messages=says("busy once, asynchronously")
        )
        assert raw.retries_taken == 1
        parsed = await client.chat.completions.parse(model="quiz", messages=says("q"), response_format=Quiz)
        assert parsed.choices[0].message.parsed == Quiz(reasoning="Six times seven.", answer="forty-two")
        stream = await client.chat.completions.create(model="quiz", messages=says("q"), stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "forty-two"
        with pytest.raises(openai.APITimeoutError):
            await client.with_options(timeout=0.3, max_retries=0).chat.completions.create(
                model="quiz", messages=says("slow")
            )
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="nobody", messages=says("q"))
