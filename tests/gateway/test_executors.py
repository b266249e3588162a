"""Tests for gateway/executors.py: releases that run on DSPy's own module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIStatusError, OpenAI

from programs.aliases import move_alias
from programs.module_state import dump_state, signature_fingerprint, source_digest
from programs.release import Identity, Interpreted, canonical_json, digest, write_release
from programs.tasks.arithmetic import program
from tests.gateway.serving import fingerprint_of, running_gateway, settings_for
from tests.gateway.upstream import Script, Upstream

ASK: Any = [{"role": "user", "content": "Ann has 40 apples. She buys 2 more. How many?"}]
REPLY = "[[ ## reasoning ## ]]\n40 + 2 = 42.\n\n[[ ## answer ## ]]\n42\n\n[[ ## completed ## ]]\n"


def _compiled() -> Interpreted:
    return Interpreted(
        signature_fingerprint(program.make_module()), source_digest(program), program.chat, program.sampling
    )


def _put(releases: Path, student: Mapping[str, Any], interpreted: Interpreted) -> None:
    state = canonical_json(dump_state(program.make_module()))
    identity = Identity(
        "arithmetic", "interpreted", digest(state), "default", student, interpreted=interpreted
    )
    path = write_release(releases, identity, state, "build-1", {})
    move_alias(path.parent, "champion", path.name, "for a test")


@pytest.fixture
def client(upstream: Upstream, tmp_path: Path) -> Iterator[OpenAI]:
    _put(tmp_path / "releases", fingerprint_of(upstream.url), _compiled())
    upstream.script = Script(text=REPLY)
    with (
        running_gateway(settings_for(tmp_path, upstream.url)) as gateway,
        OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client,
    ):
        yield client


def test_an_interpreted_release_answers_as_a_plan_does(client: OpenAI, upstream: Upstream) -> None:
    raw = client.chat.completions.with_raw_response.create(model="arithmetic", messages=ASK, temperature=0.5)
    message: Any = raw.parse().choices[0].message
    assert (message.content, message.reasoning) == ("42", "40 + 2 = 42.")
    assert float(raw.headers["x-smallforge-cost-usd"]) > 0
    assert (upstream.asked[0]["temperature"], upstream.asked[0]["max_tokens"]) == (0.5, 128)


def test_an_interpreted_release_streams_its_answer(client: OpenAI) -> None:
    chunks: list[Any] = list(client.chat.completions.create(model="arithmetic", messages=ASK, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "42"


def test_a_limit_bounds_the_tokens_of_all_steps(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(text=REPLY[:30], finish_reason="length")
    choice = client.chat.completions.create(
        model="arithmetic", messages=ASK, max_completion_tokens=7
    ).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("length", "")
    assert upstream.asked[0]["max_tokens"] == 7


def test_an_engines_error_keeps_its_meaning_through_dspy(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(status=429, headers={"Retry-After": "3"})
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(model="arithmetic", messages=ASK)
    assert (caught.value.status_code, caught.value.response.headers["retry-after"]) == (429, "3")


def test_a_reply_without_outputs_is_a_502(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(text="no idea")
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(model="arithmetic", messages=ASK)
    assert (caught.value.status_code, caught.value.code) == (502, "program_output_invalid")


@pytest.mark.parametrize(("part", "word"), [("source", "source file"), ("signatures", "signatures")])
def test_another_program_than_the_compiled_one_is_refused_with_both_digests(
    upstream: Upstream, tmp_path: Path, part: str, word: str
) -> None:
    compiled = _compiled()
    false = "0" * 64
    other = replace(compiled, source=false) if part == "source" else replace(compiled, signatures=false)
    _put(tmp_path / "releases", fingerprint_of(upstream.url), other)
    with running_gateway(settings_for(tmp_path, upstream.url)) as gateway:
        about = httpx.get(f"{gateway.url}/v1/models/arithmetic").json()["smallforge"]
    assert about["available"] is False
    assert word in about["reason"]
    assert "000000000000" in about["reason"] and getattr(compiled, part)[:12] in about["reason"]
