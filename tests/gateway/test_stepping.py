"""Programs of several steps, served by the real app: streams that do not mix, limits, tools that hang."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIStatusError, AsyncOpenAI, OpenAI

from tests.gateway import stepping
from tests.gateway.serving import RunningGateway, fingerprint_of, running_gateway, settings_for
from tests.gateway.telling import Teller, installed, put_interpreted, telling

PROGRAMS = ("agent", "early", "plain_forward", "hanging")
WORDS = (
    "amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath", "inlet", "[[", "##", "kelp", "##",
)  # fmt: skip


def answer_to(question: str) -> str:
    """A long answer that only this question has."""
    dice = random.Random(question)
    return " ".join([question, *(dice.choice(WORDS) for _ in range(40))])


def tell(messages: list[dict[str, str]]) -> str:
    """What the next step of any of the programs says; whatever is no final answer has LEAK in it."""
    system, last = messages[0]["content"], messages[-1]["content"]
    found = re.search(r"\bQ(\d+)\b", last)
    question = found.group() if found else ""
    number = int(found.group(1)) if found else 0
    if "next_tool_name" in system:
        turns = last.count("[ # observation_")
        tool = "hang" if "(1) hang" in system else "finish" if turns >= number % 3 else "look"
        given = '{"word": "LEAK"}' if tool == "look" else "{}"
        return fields(next_thought=f"LEAK {question}", next_tool_name=tool, next_tool_args=given)
    if "`sure`" in system:
        sure = number % 2 == 0
        return fields(answer=answer_to(question) if sure else "LEAK", sure=str(sure))
    if "`guess` (str)" in system and "`answer`" not in system:
        return fields(guess="LEAK")
    return fields(reasoning=f"Because {question}.", answer=answer_to(question))


def fields(**texts: str) -> str:
    return "\n\n".join([*(f"[[ ## {name} ## ]]\n{text}" for name, text in texts.items())])


@pytest.fixture(scope="module")
def teller() -> Iterator[Teller]:
    with telling(tell) as teller:
        yield teller


@pytest.fixture(scope="module")
def gateway(teller: Teller, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("stepping")
    student = fingerprint_of(teller.url)
    with installed(folder, Path(stepping.__file__), *PROGRAMS):
        for name in PROGRAMS:
            put_interpreted(folder / "releases", student, name)
        settings = settings_for(folder, teller.url, gateway="max_steps = 5\nmax_seconds = 20")
        with running_gateway(settings) as gateway:
            yield gateway


@pytest.fixture
def client(gateway: RunningGateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0, timeout=60) as client:
        yield client


def ask(question: str) -> Any:
    return [{"role": "user", "content": question}]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("program", ["agent", "early"])
async def test_concurrent_streams_of_one_program_neither_mix_nor_lose_a_piece(
    gateway: RunningGateway, teller: Teller, program: str, seed: int
) -> None:
    teller.dice = random.Random(seed)
    questions = [f"Q{seed * 100 + number}" for number in range(8)]

    async def streamed(client: AsyncOpenAI, question: str) -> list[Any]:
        stream = await client.chat.completions.create(model=program, messages=ask(question), stream=True)
        return [chunk async for chunk in stream]

    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0, timeout=60) as client:
        streams = await asyncio.gather(*(streamed(client, question) for question in questions))
    for question, chunks in zip(questions, streams, strict=True):
        pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
        ends_early = program == "early" and int(question[1:]) % 2 == 0
        assert "".join(pieces) == answer_to(question)
        # What arrives together may leave together.
        assert (len(pieces) == 1) if ends_early else (len(pieces) > 3)
        assert chunks[-1].choices[0].delta.outputs["answer"] == answer_to(question)
        shown = [chunk.choices[0].delta.model_dump(exclude={"outputs"}) for chunk in chunks]
        assert "LEAK" not in str(shown)
        if program == "agent":
            thoughts = "".join(getattr(chunk.choices[0].delta, "reasoning", None) or "" for chunk in chunks)
            assert thoughts == f"Because {question}."
    assert len({chunks[0].id for chunks in streams}) == len(questions)


@pytest.mark.parametrize("program", ["agent", "early", "plain_forward"])
def test_a_whole_answer_is_the_same_as_a_streamed_one(client: OpenAI, program: str) -> None:
    reply = client.chat.completions.create(model=program, messages=ask("Q7"))
    assert reply.choices[0].message.content == answer_to("Q7")
    assert reply.usage is not None and reply.usage.completion_tokens > 40


def test_the_list_says_whose_text_comes_while_it_is_written(gateway: RunningGateway) -> None:
    cards = httpx.get(f"{gateway.url}/v1/models").json()["data"]
    told = {card["id"]: card["smallforge"]["capabilities"]["streaming"] for card in cards}
    assert {name: told[name] for name in PROGRAMS} == {
        "agent": True, "early": True, "plain_forward": False, "hanging": True,
    }  # fmt: skip


def test_a_run_over_the_operators_steps_is_one_clear_error(client: OpenAI, teller: Teller) -> None:
    teller.tell = lambda messages: fields(
        next_thought="t", next_tool_name="look", next_tool_args='{"word": "w"}'
    )
    try:
        with pytest.raises(APIStatusError) as caught:
            client.chat.completions.create(model="agent", messages=ask("Q1"))
    finally:
        teller.tell = tell
    assert (caught.value.status_code, caught.value.code) == (504, "program_limit_exceeded")
    assert "asked its model more than 5 times" in caught.value.message
    assert caught.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_that_hangs_fails_its_own_request_only(gateway: RunningGateway, stream: bool) -> None:
    before = _limit_failures(gateway)
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0, timeout=60) as client:

        async def hang() -> APIStatusError:
            with pytest.raises(APIStatusError) as caught:
                await client.chat.completions.create(model="hanging", messages=ask("Q1"), stream=stream)
            return caught.value

        hung = [asyncio.ensure_future(hang()) for _ in range(12)]
        reply = await client.chat.completions.create(model="agent", messages=ask("Q2"))
        assert reply.choices[0].message.content == answer_to("Q2")
        errors = await asyncio.gather(*hung)
    assert {(error.status_code, error.code) for error in errors} == {(504, "program_limit_exceeded")}
    assert "longer than 1 seconds" in errors[0].message
    assert _limit_failures(gateway) == before + 12


def _limit_failures(gateway: RunningGateway) -> float:
    version = httpx.get(f"{gateway.url}/v1/models/hanging").json()["smallforge"]["version"]
    return gateway.metric("gateway_limit_failures_total", model="hanging", release=version)


@pytest.mark.parametrize("program", ["agent", "plain_forward"])
def test_a_program_gets_no_step_past_the_requests_ceiling(client: OpenAI, program: str) -> None:
    terms = {"x-smallforge-max-usd": "0.000000000001", "x-smallforge-trace": "1"}
    with pytest.raises(APIStatusError) as found:
        client.chat.completions.create(model=program, messages=ask("Q1"), extra_headers=terms)
    assert (found.value.status_code, found.value.code) == (402, "cost_ceiling_reached")
    assert len(found.value.response.json()["smallforge"]["steps"]) == 1
