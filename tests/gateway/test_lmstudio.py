"""A release served on LM Studio, whose models come and go while the gateway is up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from engine.chat import Reply, Usage
from engine.fingerprint import Fingerprint, take_fingerprint
from engine.local import open_student
from tests.engine.lmstudio import Downloaded, LMStudio, running
from tests.gateway.serving import RunningGateway, make_plan, put_release, running_gateway, settings_for

SAID = "[[ ## reasoning ## ]]\nSix times seven.\n\n[[ ## answer ## ]]\nforty-two\n\n[[ ## completed ## ]]"


class Sure:
    """Always gives the same answer."""

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        return Reply(SAID, "", "stop", Usage(50, 20), "")


@pytest.fixture
def studio() -> LMStudio:
    return LMStudio([Downloaded("tiny"), Downloaded("other")], behind=Sure(), loads_on_demand=True)


@pytest.fixture
def gateway(studio: LMStudio, tmp_path: Path) -> Iterator[RunningGateway]:
    with running(studio) as url:
        price = "usd_per_million_input = 1.0\nusd_per_million_output = 1.0"
        settings = settings_for(tmp_path, url, price=price)

        async def identified() -> Fingerprint:
            async with open_student(settings, progress=lambda line: None) as student:
                return await take_fingerprint(student.client)

        put_release(tmp_path / "releases", make_plan(), asyncio.run(identified()).as_dict())
        with running_gateway(settings) as gateway:
            yield gateway


def ask(gateway: RunningGateway) -> httpx.Response:
    body = {"model": "quiz", "messages": [{"role": "user", "content": "q"}]}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body)


def test_no_other_model_ever_answers_for_the_one_that_was_compiled_for(
    studio: LMStudio, gateway: RunningGateway
) -> None:
    assert ask(gateway).json()["choices"][0]["message"]["content"] == "forty-two"
    tiny, other = studio.models
    studio.loads_on_demand, tiny.loaded, other.loaded = False, False, True
    refused = ask(gateway)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "engine_unavailable")
    assert "other" not in refused.text and "127.0.0.1" not in refused.text
    tiny.loaded, other.loaded = True, False
    assert ask(gateway).status_code == 200


def test_a_model_that_was_unloaded_is_loaded_again_by_the_next_request(
    studio: LMStudio, gateway: RunningGateway
) -> None:
    studio.models[0].loaded, studio.loads = False, []
    assert ask(gateway).status_code == 200
    assert studio.loads == ["tiny"]


def test_a_stream_without_counts_is_an_answer_of_unknown_cost(gateway: RunningGateway) -> None:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client:
        chunks = list(
            client.chat.completions.create(
                model="quiz",
                messages=[{"role": "user", "content": "q"}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    deltas = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(deltas) == "forty-two"
    told = chunks[-1].model_extra
    assert chunks[-1].usage is None and told is not None and told["smallforge"]["cost_usd"] is None
