"""Neighbours and ensembles on a real engine: built, described, served and asked with the OpenAI client."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionUserMessageParam

from programs.program import SPLITS
from programs.tasks import arithmetic
from tests.integration.conftest import House, furnish, running

ROWS = {"train": 20, "dev": 10, "test": 12}
MOST_CALLS = 60  # of an optimiser
KINDS = {"arithmetic": "neighbours", "arithmetic@candidate": "ensemble"}
USER: ChatCompletionUserMessageParam = {
    "role": "user",
    "content": "Anna has 12 apples. She buys 8 more. How many apples does Anna have now?",
}


@pytest.fixture(scope="module")
def forms(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house with a champion of neighbours and a candidate that is an ensemble."""
    house = furnish(tmp_path_factory.mktemp("forms"), engine_url)
    for split in SPLITS:
        rows = [dict(example.items()) for example in arithmetic.examples(split)[: ROWS[split]]]
        (house.folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows_of_its_own = ("--data", "train.jsonl", "--dev", "dev.jsonl", "--test", "test.jsonl")
    for optimizer in (
        ("KNNFewShot", "--set", "k=2"),
        ("Ensemble", "--set", "size=2", "--set", "num_candidate_programs=1"),
    ):
        house.run("compiler", "build", "arithmetic", *rows_of_its_own, "--optimizer", *optimizer)
    return house


@pytest.fixture(scope="module")
def client(forms: House) -> Iterator[OpenAI]:
    with (
        running(["gateway", "serve"], forms.folder, f"{forms.gateway}/readyz", seconds=60),
        OpenAI(base_url=f"{forms.gateway}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield client


@pytest.mark.parametrize("model", KINDS)
def test_a_build_writes_the_form_and_its_proof(forms: House, model: str) -> None:
    home = (
        forms.folder
        / "releases"
        / "arithmetic"
        / forms.alias("arithmetic", model.partition("@")[2] or "champion")
    )
    assert (home / f"{KINDS[model]}.json").exists()
    (evidence,) = (home / "evidence").iterdir()
    build = json.loads((evidence / "build.json").read_text())
    assert build["lowering"]["lowered"] and build["lowering"]["proof"]["rendered"] > 50
    searched = sum(phase["calls"] for phase in build["spent"]["phases"] if phase["phase"] == "optimise")
    assert 0 < searched <= MOST_CALLS
    assert forms.run("compiler", "show", model).count(f"{KINDS[model]}: served without DSPy") == 1
    assert KINDS[model] in forms.run("compiler", "verify", model)


@pytest.mark.parametrize("model", KINDS)
def test_it_answers_with_a_number_and_says_what_it_cost(client: OpenAI, model: str) -> None:
    raw = client.chat.completions.with_raw_response.create(model=model, messages=[USER])
    reply: Any = raw.parse()
    message = reply.choices[0].message
    assert re.fullmatch(r"-?\d+", message.content) and str(message.outputs["answer"]) == message.content
    assert message.reasoning == message.outputs["reasoning"]
    assert reply.usage.completion_tokens > 0 and float(raw.headers["x-smallforge-cost-usd"]) > 0


@pytest.mark.parametrize("model", KINDS)
def test_a_stream_says_the_same_as_the_whole_reply(client: OpenAI, model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=[USER]).choices[0].message
    chunks: list[Any] = list(client.chat.completions.create(model=model, messages=[USER], stream=True))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    reasoning = [getattr(chunk.choices[0].delta, "reasoning", None) for chunk in chunks]
    assert "".join(pieces) == whole.content
    assert "".join(filter(None, reasoning)) == whole.model_dump()["reasoning"]
    # An ensemble's texts come in one piece: only the vote knows them.
    assert KINDS[model] == "neighbours" or len(list(filter(None, reasoning))) == len(pieces) == 1


def test_an_ensembles_answer_takes_the_tokens_of_all_members(client: OpenAI) -> None:
    taken = {model: client.chat.completions.create(model=model, messages=[USER]).usage for model in KINDS}
    near, voting = (usage.prompt_tokens for usage in taken.values() if usage is not None)
    assert voting > near
