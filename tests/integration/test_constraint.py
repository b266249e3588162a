"""Constrained decoding on a real engine: it changes no reply that has the format, and leaves none without."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from openai import APIStatusError, OpenAI

from gateway.policy import FIELDS
from programs.output_pattern import output_pattern
from programs.plan import Message, Plan
from programs.release import read_release
from programs.tasks import arithmetic
from tests.gateway.serving import put_release
from tests.integration.conftest import House, furnish, running

QUESTIONS = [str(example.question) for example in arithmetic.examples("test")[:24]]


class Pair(NamedTuple):
    """Clients of two gateways before the same engine, and the plan that both serve."""

    free: OpenAI
    held: OpenAI
    plan: Plan


@pytest.fixture(scope="module")
def pair(
    house: House, built: str, engine_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """`arithmetic` as it was built, and `lost` with a prompt that its student never saw."""
    assert built
    release = read_release(house.folder / "releases" / "arithmetic" / house.alias("arithmetic", "champion"))
    plan = release.plan
    assert plan is not None
    lost = replace(plan, program="lost", prefix=(Message("system", "Speak."),), reminder="")
    houses = [furnish(tmp_path_factory.mktemp(name), engine_url) for name in ("free", "held")]
    for one in houses:
        for form in (plan, lost):
            put_release(one.folder / "releases", form, release.identity.fingerprint)
    free, held = houses
    with (
        running(["gateway", "serve", "--trace"], free.folder, f"{free.gateway}/readyz", 60),
        running(["gateway", "serve", "--trace", "--constrain"], held.folder, f"{held.gateway}/readyz", 60),
        OpenAI(base_url=f"{free.gateway}/v1", api_key="unused", max_retries=0) as free_client,
        OpenAI(base_url=f"{held.gateway}/v1", api_key="unused", max_retries=0) as held_client,
    ):
        yield Pair(free_client, held_client, plan)


def ask(client: OpenAI, model: str, question: str) -> tuple[str, Any]:
    """The finish reason, `unreadable` where the program's outputs could not be read; and the step."""
    messages: Any = [{"role": "user", "content": question}]
    try:
        reply = client.chat.completions.create(
            model=model, messages=messages, extra_headers={"x-smallforge-trace": "1"}
        )
    except APIStatusError as error:
        assert error.code == "program_output_invalid"
        return "unreadable", error.response.json()["smallforge"]["steps"][0]
    return reply.choices[0].finish_reason, reply.model_dump()["smallforge"]["steps"][0]


def test_a_reply_that_has_the_format_is_the_same_when_held_to_it(pair: Pair) -> None:
    pattern = output_pattern(pair.plan.outputs)
    compared = 0
    for question in QUESTIONS:
        _, free = ask(pair.free, "arithmetic", question)
        _, held = ask(pair.held, "arithmetic", question)
        assert free["messages"] == held["messages"]
        if re.fullmatch(pattern, free["reply"]):
            assert held["reply"] == free["reply"]
            compared += 1
    assert compared >= 20


def test_a_student_that_knows_nothing_of_the_prompt_cannot_break_the_format(pair: Pair) -> None:
    free = [ask(pair.free, "lost", question)[0] for question in QUESTIONS[:8]]
    held = [ask(pair.held, "lost", question)[0] for question in QUESTIONS[:8]]
    assert "unreadable" in free
    assert "unreadable" not in held and "stop" in held


def test_a_stream_is_held_too(pair: Pair) -> None:
    messages: Any = [{"role": "user", "content": QUESTIONS[0]}]
    whole = pair.held.chat.completions.create(model="arithmetic", messages=messages)
    stream = pair.held.chat.completions.create(model="arithmetic", messages=messages, stream=True)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert said == whole.choices[0].message.content


def test_every_field_that_the_engine_takes_has_a_policy(engine_url: str) -> None:
    with urllib.request.urlopen(f"{engine_url}/openapi.json") as page:
        schema = json.loads(page.read())["components"]["schemas"]["ChatCompletionRequest"]
    assert len(schema["properties"]) > 50
    assert schema["properties"].keys() - FIELDS.keys() == set()
