"""The official OpenAI client against a gateway that serves a real release on a real engine."""

from __future__ import annotations

import asyncio
import re
import time
import urllib.request

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionUserMessageParam

from tests.integration.conftest import House

QUESTION = "Anna has 12 apples. She buys 8 more. How many apples does Anna have now?"
USER: ChatCompletionUserMessageParam = {"role": "user", "content": QUESTION}


def metric(url: str, name: str) -> float:
    """Sum over all series of one Prometheus metric."""
    with urllib.request.urlopen(url, timeout=5) as response:
        text = response.read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}[{{ ]", line))


def test_a_release_answers_with_its_answer_alone(client: OpenAI) -> None:
    reply = client.chat.completions.create(model="arithmetic", messages=[USER])
    assert reply.choices[0].finish_reason == "stop"
    assert re.fullmatch(r"-?\d+", reply.choices[0].message.content or "")
    assert reply.usage is not None and reply.usage.prompt_tokens > 0 and reply.usage.completion_tokens > 0


def test_every_reply_says_which_release_answered_what_it_cost_and_how_long_the_gateway_took(
    client: OpenAI, gateway: House
) -> None:
    raw = client.chat.completions.with_raw_response.create(model="arithmetic", messages=[USER])
    assert raw.headers["x-smallforge-release"] == f"arithmetic@{gateway.alias('arithmetic', 'champion')}"
    assert 0 < float(raw.headers["x-smallforge-cost-usd"]) < 0.10
    assert 0 < float(raw.headers["x-smallforge-overhead-ms"]) < 1000


def test_the_reasoning_stays_out_of_the_content(client: OpenAI) -> None:
    message = client.chat.completions.create(model="arithmetic", messages=[USER]).choices[0].message
    outputs = message.model_dump()["outputs"]
    assert str(outputs["answer"]) == message.content
    assert message.model_dump()["reasoning"] == outputs["reasoning"]


def test_a_stream_says_the_same_as_the_whole_reply_and_never_a_marker(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="arithmetic", messages=[USER]).choices[0].message
    text, reasoning = "", ""
    for chunk in client.chat.completions.create(model="arithmetic", messages=[USER], stream=True):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasoning += choice.delta.model_dump().get("reasoning") or ""
    assert text == whole.content
    assert reasoning.strip() == whole.model_dump()["reasoning"].strip()
    assert "[[" not in text + reasoning


def test_the_last_chunk_of_a_stream_holds_usage_and_cost_when_asked(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="arithmetic", messages=[USER], stream=True, stream_options={"include_usage": True}
    )
    *_, last = stream
    assert last.choices == []
    assert last.usage is not None and last.usage.completion_tokens > 0
    assert last.model_dump()["smallforge"]["cost_usd"] > 0


def test_an_unknown_model_is_404(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="no-such-program", messages=[USER])
    assert caught.value.code == "model_not_found"


def test_an_unknown_input_is_400_that_names_it(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="colour"):
        client.chat.completions.create(
            model="arithmetic", messages=[USER], extra_body={"inputs": {"colour": "red"}}
        )


def test_an_empty_question_is_400(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="question"):
        client.chat.completions.create(model="arithmetic", messages=[{"role": "user", "content": ""}])


def test_a_reply_cut_by_its_token_limit_says_so(client: OpenAI) -> None:
    reply = client.chat.completions.create(model="arithmetic", messages=[USER], max_completion_tokens=2)
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage is not None and reply.usage.completion_tokens <= 2


def test_models_lists_the_release_under_its_names(client: OpenAI, gateway: House) -> None:
    version = gateway.alias("arithmetic", "champion")
    assert {"arithmetic", f"arithmetic@{version}"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("arithmetic").id == "arithmetic"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_engine_stops_when_its_clients_leave(stream: bool, gateway: House) -> None:
    """So hot, the student mostly rambles to its limit of 128 tokens; 32 at once take more than a second."""
    before = metric(f"{gateway.engine}/metrics", "vllm:generation_tokens_total")
    async with AsyncOpenAI(base_url=f"{gateway.gateway}/v1", api_key="unused", max_retries=0) as client:
        left = await asyncio.gather(*(leave_early(client, stream) for _ in range(32)))
    assert sum(left) > 16
    deadline = time.monotonic() + 5
    while metric(f"{gateway.engine}/metrics", "vllm:num_requests_running") > 0:
        assert time.monotonic() < deadline, "the engine is still at work"
        await asyncio.sleep(0.05)
    assert metric(f"{gateway.engine}/metrics", "vllm:generation_tokens_total") - before < 32 * 128 / 2


async def leave_early(client: AsyncOpenAI, stream: bool) -> bool:
    """Whether the client left; now and then what the student rambles ends before it can."""
    try:
        async with asyncio.timeout(0.1):
            reply = await client.chat.completions.create(
                model="arithmetic", messages=[USER], temperature=2, stream=stream
            )
            if isinstance(reply, openai.AsyncStream):
                async for _ in reply:
                    pass
    except TimeoutError:
        return True
    except openai.APIError as error:
        assert error.code == "program_output_invalid"
    return False


def test_prometheus_counts_requests_tokens_and_cost(client: OpenAI, gateway: House) -> None:
    before = metric(gateway.metrics, "gateway_requests_total")
    client.chat.completions.create(model="arithmetic", messages=[USER])
    assert metric(gateway.metrics, "gateway_requests_total") == before + 1
    assert metric(gateway.metrics, "gateway_tokens_total") > 0
    assert metric(gateway.metrics, "gateway_cost_usd_total") > 0
