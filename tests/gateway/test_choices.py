"""Several answers to one request: `n`."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from openai import APIError, APIStatusError, AsyncOpenAI, OpenAI

from tests.gateway.serving import RunningGateway, wait_until
from tests.gateway.upstream import REPLY, Script, Upstream

ASK: Any = [{"role": "user", "content": "What is six times seven?"}]
OTHER = REPLY.replace("forty-two", "forty-three")
WORDS = len(REPLY.split())


def test_each_answer_is_a_choice_of_its_own(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(REPLY, then=Script(OTHER, then=Script(REPLY)))
    reply = client.chat.completions.create(model="quiz", messages=ASK, n=3)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    said = sorted(choice.message.content or "" for choice in reply.choices)
    assert said == ["forty-three", "forty-two", "forty-two"]
    assert {choice.finish_reason for choice in reply.choices} == {"stop"}


def test_usage_and_cost_are_those_of_all_answers_together(
    client: OpenAI, gateway: RunningGateway, upstream: Upstream
) -> None:
    one = client.chat.completions.create(model="quiz", messages=ASK)
    raw = client.chat.completions.with_raw_response.create(model="quiz", messages=ASK, n=4)
    usage: Any = raw.parse().usage
    assert one.usage is not None and len(upstream.asked) == 5
    assert (usage.prompt_tokens, usage.completion_tokens) == (4 * one.usage.prompt_tokens, 4 * WORDS)
    assert usage.prompt_tokens_details.cached_tokens == 4 * (one.usage.prompt_tokens // 2)
    assert float(raw.headers["x-smallforge-cost-usd"]) > 0
    assert float(raw.headers["x-smallforge-overhead-ms"]) < 1000


def test_the_teacher_would_have_answered_as_often(client: OpenAI, gateway: RunningGateway) -> None:
    version = client.models.retrieve("quiz").model_dump()["smallforge"]["release"].partition("@")[2]
    labels = {"model": "quiz", "release": version}
    before = gateway.metric("gateway_teacher_cost_usd_total", **labels)
    client.chat.completions.create(model="quiz", messages=ASK, n=2)
    wait_until(lambda: gateway.metric("gateway_teacher_cost_usd_total", **labels) == before + 2 * 0.25)


@pytest.mark.parametrize(
    ("seed", "sent"), [(7, [7, 8, 9]), (2**63 - 2, [-(2**63), 2**63 - 2, 2**63 - 1]), (-1, [-1, 0, 1])]
)
def test_each_answer_has_its_own_seed(client: OpenAI, upstream: Upstream, seed: int, sent: list[int]) -> None:
    client.chat.completions.create(model="quiz", messages=ASK, n=3, seed=seed, temperature=1)
    assert sorted(body["seed"] for body in upstream.asked) == sent


def test_the_seed_of_the_release_is_told_apart_too(client: OpenAI, upstream: Upstream) -> None:
    client.chat.completions.create(model="reading", messages=[{"role": "system", "content": "c"}, *ASK], n=2)
    assert sorted(body["seed"] for body in upstream.asked) == [3, 4]


def test_without_a_seed_none_is_sent(client: OpenAI, upstream: Upstream) -> None:
    client.chat.completions.create(model="quiz", messages=ASK, n=2)
    assert not any("seed" in body for body in upstream.asked)


def test_a_limit_bounds_each_answer(client: OpenAI, upstream: Upstream) -> None:
    client.chat.completions.create(model="quiz", messages=ASK, n=2, max_completion_tokens=9)
    assert [body["max_tokens"] for body in upstream.asked] == [9, 9]


def test_answers_are_made_at_the_same_time(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(trouble="stall")
    with pytest.raises(APIError):
        client.chat.completions.create(model="quiz", messages=ASK, n=3, timeout=3)
    assert len(upstream.asked) == 3
    assert upstream.abandoned.wait(5)


def test_one_that_fails_fails_the_request_and_ends_the_others(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script("no fields", seconds=1, then=Script(trouble="stall"))
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(model="quiz", messages=ASK, n=2)
    assert (caught.value.status_code, caught.value.code) == (502, "program_output_invalid")
    assert upstream.abandoned.wait(5)


@pytest.mark.parametrize("piece", [1, 5, 1000])
def test_streamed_answers_are_told_apart_by_their_index(
    client: OpenAI, upstream: Upstream, piece: int
) -> None:
    upstream.script = Script(REPLY, piece=piece, then=Script(OTHER, piece=piece))
    said: dict[int, str] = defaultdict(str)
    ends: dict[int, Any] = {}
    chunks = list(client.chat.completions.create(model="quiz", messages=ASK, n=2, stream=True))
    for choice in (chunk.choices[0] for chunk in chunks):
        assert choice.index not in ends
        said[choice.index] += choice.delta.content or ""
        if choice.finish_reason:
            ends[choice.index] = choice
    assert sorted(said.values()) == ["forty-three", "forty-two"]
    assert {index: end.delta.outputs["answer"] for index, end in ends.items()} == said
    assert [chunk.choices[0].index for chunk in chunks[:2]] == [0, 1]


def test_the_stream_helper_of_openais_client_puts_them_together(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(REPLY, then=Script(OTHER))
    options: Any = {"include_usage": True}
    with client.chat.completions.stream(model="quiz", messages=ASK, n=3, stream_options=options) as stream:
        reply = stream.get_final_completion()
    said = sorted(choice.message.content or "" for choice in reply.choices)
    assert said == ["forty-three", "forty-three", "forty-two"]
    assert reply.usage is not None and reply.usage.completion_tokens == 3 * WORDS


async def test_a_failing_stream_ends_the_others(gateway: RunningGateway, upstream: Upstream) -> None:
    upstream.script = Script(trouble="error_midway", seconds=1, then=Script(trouble="stall_midway", piece=1))
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client:
        stream = await client.chat.completions.create(model="quiz", messages=ASK, n=2, stream=True)
        with pytest.raises(APIError):
            async for _ in stream:
                pass
    assert upstream.abandoned.wait(5)


def test_a_client_that_leaves_ends_all_of_them(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(trouble="stall_midway", piece=1)
    stream = client.chat.completions.create(model="quiz", messages=ASK, n=2, stream=True)
    next(iter(stream))
    assert upstream.stalled.wait(5)
    stream.close()
    assert upstream.abandoned.wait(5)


def test_a_raw_stream_has_the_headers_and_the_same_chunks(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="quiz", messages=ASK, n=2, stream=True)
    assert raw.headers["x-smallforge-release"].startswith("quiz@")
    chunks = list(raw.parse())
    assert {chunk.id for chunk in chunks} == {raw.headers["x-request-id"]}
    assert {choice.index for chunk in chunks for choice in chunk.choices} == {0, 1}
