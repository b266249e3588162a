"""Neighbours and ensembles as a client meets them: releases that are more than one plan."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import pytest
from openai import APIStatusError, OpenAI

from programs.embedding import HashedNgrams
from programs.ensemble import Ensemble
from programs.neighbours import Demonstration, Neighbours, Said, sparse
from programs.plan import Message
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
)
from tests.gateway.upstream import Script, Upstream

ASK: Any = [{"role": "user", "content": "Which ocean is the largest?"}]
ROWS = (
    "Which river is the longest?",
    "How many legs has a spider?",
    "Which ocean is the deepest?",
    "Who wrote it?",
)


def said(reasoning: str, answer: str) -> str:
    return f"[[ ## reasoning ## ]]\n{reasoning}\n\n[[ ## answer ## ]]\n{answer}\n\n[[ ## completed ## ]]\n"


VOTES = {
    "First": said("I guess.", "Atlantic"),
    "Second": said("It covers a third.", "Pacific"),
    "Third": said("By area.", "pacific."),
}


def near() -> Neighbours:
    embedder = HashedNgrams.learn(ROWS)
    vectors = asyncio.run(embedder.embed(ROWS))
    shown = tuple(
        Demonstration((Said("user", row), Said("assistant", said("r", row))), sparse(vector))
        for row, vector in zip(ROWS, vectors, strict=True)
    )
    return Neighbours(make_plan("near"), shown, embedder, k=2)


def voting() -> Ensemble:
    plan = make_plan("voting")
    return Ensemble(tuple(replace(plan, prefix=(Message("system", name),)) for name in VOTES), "majority")


@pytest.fixture(scope="module")
def forms(_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("forms")
    student = fingerprint_of(_upstream.url)
    put_release(folder / "releases", near(), student)
    put_release(folder / "releases", voting(), student)
    with running_gateway(settings_for(folder, _upstream.url)) as gateway:
        yield gateway


@pytest.fixture
def client(forms: RunningGateway, upstream: Upstream) -> Iterator[OpenAI]:
    upstream.script = Script(texts=VOTES)
    with OpenAI(base_url=f"{forms.url}/v1", api_key="k", max_retries=0, timeout=20) as client:
        yield client


def streamed(client: OpenAI, model: str) -> tuple[str, str, list[str]]:
    """Content, reasoning, and the pieces of the content."""
    chunks: list[Any] = list(client.chat.completions.create(model=model, messages=ASK, stream=True))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    reasoning = "".join(getattr(chunk.choices[0].delta, "reasoning", None) or "" for chunk in chunks)
    return "".join(pieces), reasoning, pieces


def test_neighbours_show_the_nearest_demonstrations_of_the_request(
    client: OpenAI, upstream: Upstream
) -> None:
    reply: Any = client.chat.completions.create(model="near", messages=ASK).choices[0].message
    assert (reply.content, reply.reasoning) == ("forty-two", "Six times seven.")
    contents = [message["content"] for message in upstream.asked[0]["messages"]]
    assert contents[1::2][:2] == [ROWS[0], ROWS[2]] and "largest?" in contents[-1]


def test_neighbours_stream_as_a_plan_does(client: OpenAI) -> None:
    content, reasoning, pieces = streamed(client, "near")
    assert (content, reasoning) == ("forty-two", "Six times seven.") and pieces


def test_an_ensemble_answers_with_its_vote_and_the_winners_reasoning(
    client: OpenAI, upstream: Upstream
) -> None:
    raw = client.chat.completions.with_raw_response.create(model="voting", messages=ASK)
    completion: Any = raw.parse()
    message = completion.choices[0].message
    assert (message.content, message.reasoning) == ("Pacific", "It covers a third.")
    assert completion.usage.completion_tokens == sum(len(text.split()) for text in VOTES.values())
    assert len(upstream.asked) == 3 and float(raw.headers["x-smallforge-cost-usd"]) > 0


def test_an_ensemble_streams_its_answer_in_one_piece(client: OpenAI) -> None:
    content, reasoning, pieces = streamed(client, "voting")
    assert (content, reasoning) == ("Pacific", "It covers a third.") and pieces == ["Pacific"]


def test_the_members_share_the_time_and_the_overhead_is_the_gateways_own(
    client: OpenAI, upstream: Upstream, forms: RunningGateway
) -> None:
    upstream.script = replace(upstream.script, seconds=0.3)
    before = forms.metric("gateway_upstream_seconds_sum", **_labels(forms, "voting"))
    began = perf_counter()
    raw = client.chat.completions.with_raw_response.create(model="voting", messages=ASK)
    assert perf_counter() - began < 0.8
    spent = forms.metric("gateway_upstream_seconds_sum", **_labels(forms, "voting")) - before
    assert 0.3 <= spent < 0.8 and 0 < float(raw.headers["x-smallforge-overhead-ms"]) < 100


def test_a_limit_bounds_the_tokens_of_all_members_together(client: OpenAI, upstream: Upstream) -> None:
    client.chat.completions.create(model="voting", messages=ASK, max_completion_tokens=300)
    assert sorted(body["max_tokens"] for body in upstream.asked) == [100, 200]


def test_one_unreadable_member_does_not_matter_and_three_are_a_502(
    client: OpenAI, upstream: Upstream
) -> None:
    upstream.script = Script(texts=VOTES | {"First": "no idea"})
    assert (
        client.chat.completions.create(model="voting", messages=ASK).choices[0].message.content == "Pacific"
    )
    upstream.script = Script(text="no idea")
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(model="voting", messages=ASK)
    assert (caught.value.status_code, caught.value.code) == (502, "program_output_invalid")


def test_an_engines_error_of_one_member_keeps_its_meaning(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(status=429, headers={"Retry-After": "3"})
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(model="voting", messages=ASK)
    assert (caught.value.status_code, caught.value.response.headers["retry-after"]) == (429, "3")


def test_models_tell_the_kind_and_the_fields(forms: RunningGateway) -> None:
    for name, kind in (("near", "neighbours"), ("voting", "ensemble")):
        about = httpx.get(f"{forms.url}/v1/models/{name}").json()["smallforge"]
        assert (about["available"], about["kind"], about["answer"]) == (True, kind, "answer")
        assert [field["name"] for field in about["inputs"]] == ["question"]


def test_a_gateway_that_has_answered_with_both_kinds_has_loaded_nothing_heavy(
    upstream: Upstream, tmp_path: Path
) -> None:
    """A process of its own, since this one has long imported DSPy."""
    student = fingerprint_of(upstream.url)
    put_release(tmp_path / "releases", near(), student)
    put_release(tmp_path / "releases", voting(), student)
    settings_for(tmp_path, upstream.url)
    upstream.script = Script(texts=VOTES)
    script = """
import sys
from pathlib import Path
import httpx
from engine.settings import read_settings
from tests.gateway.serving import running_gateway

with running_gateway(read_settings(Path(sys.argv[1]))) as gateway:
    for model in ("near", "voting"):
        body = {"model": model, "messages": [{"role": "user", "content": "Which ocean is the largest?"}]}
        reply = httpx.post(f"{gateway.url}/v1/chat/completions", json=body)
        print(reply.json()["choices"][0]["message"]["content"])
print(*{"dspy", "litellm", "torch", "mlflow", "numpy"} & set(sys.modules))
"""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", script, str(tmp_path / "smallforge.toml")]
    shown = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == ["forty-two", "Pacific", ""]


def _labels(gateway: RunningGateway, program: str) -> dict[str, str]:
    (version,) = (path.name for path in (gateway.releases / program).iterdir() if path.is_dir())
    return {"model": program, "release": version}
