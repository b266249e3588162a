"""scripture_qa on a real engine: built on its sample, served, asked as a client would."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from programs.scripture import SAMPLE
from tests.integration.conftest import House, furnish, running

NO_DATA = {"SMALLFORGE_DATA": ""}
TABLES = ("--tables", str(SAMPLE))
ROWS = tuple(
    f"--{option}={SAMPLE / name}.jsonl"
    for option, name in (("data", "train"), ("dev", "dev"), ("test", "test"))
)


@pytest.fixture(scope="module")
def served(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A gateway with a release built on the sample, whatever tables this machine has."""
    house = furnish(tmp_path_factory.mktemp("scripture"), engine_url)
    shown = house.run("compiler", "build", "scripture_qa", *TABLES, *ROWS, "--optimizer", "none")
    assert "Lowered to a plan" in shown
    with running(["gateway", "serve"], house.folder, f"{house.gateway}/readyz", 60, NO_DATA):
        yield house


def input_tokens(house: House) -> float:
    with urllib.request.urlopen(house.metrics) as page:
        lines = page.read().decode().splitlines()
    wanted = [
        line for line in lines if line.startswith("gateway_tokens_total{") and 'direction="input"' in line
    ]
    return sum(float(line.split()[-1]) for line in wanted)


def asked(house: House, *said: str) -> tuple[list[str], float]:
    """The answers in a conversation, and how many tokens its prompts had."""
    before = input_tokens(house)
    answers: list[str] = []
    messages: list[Any] = []
    with OpenAI(base_url=f"{house.gateway}/v1", api_key="unused", max_retries=0) as client:
        for text in said:
            messages.append({"role": "user", "content": text})
            reply = client.chat.completions.create(model="scripture_qa", messages=messages)
            answers.append(reply.choices[0].message.content or "")
            messages.append({"role": "assistant", "content": answers[-1]})
    return answers, input_tokens(house) - before


def test_the_student_is_sent_the_verses_of_a_question(served: House) -> None:
    _, bare = asked(served, "Which word is light?")
    _, looked_up = asked(served, "Which word is light in Genesis 1:1-4?")
    assert 0 < bare < looked_up - 100


def test_a_follow_up_is_understood_by_what_was_said_before(served: House) -> None:
    question, follow_up = (
        "Who made the heavens and the earth in Genesis 1:1?",
        "What does that word mean here?",
    )
    (who, meaning), _ = asked(served, question, follow_up)
    assert "elohim" in who
    assert meaning == "God"
