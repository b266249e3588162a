"""A served program gets the verses that a chat refers to, from the tables that the gateway was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, OpenAI

from programs.plan import Field
from programs.program import Chat
from programs.scripture import SAMPLE
from tests.gateway.serving import fingerprint_of, make_plan, put_release, running_gateway, settings_for
from tests.gateway.upstream import Upstream

CHAT = Chat("question", "answer", "context", "history", ("reasoning",), verses="context")
INPUTS = (Field("context", required=False, default=""), Field("history", "history"), Field("question"))


def ask(folder: Path, upstream: Upstream, tables: Path, *texts: str, **extra: Any) -> str:
    """What the student is sent last for a conversation of these texts."""
    settings = settings_for(folder, upstream.url, top=f'tables = "{tables}"')
    put_release(settings.releases, make_plan(chat=CHAT, inputs=INPUTS), fingerprint_of(upstream.url))
    roles = ("user", "assistant")
    said: Any = [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]
    with running_gateway(settings) as gateway, OpenAI(base_url=f"{gateway.url}/v1", api_key="k") as client:
        client.with_options(max_retries=0).chat.completions.create(model="quiz", messages=said, **extra)
    return str(upstream.asked[-1]["messages"][-1]["content"])


def test_the_verse_of_a_question_stands_in_its_context(tmp_path: Path, upstream: Upstream) -> None:
    sent = ask(tmp_path, upstream, SAMPLE, "Which word is light in Gen 1:3?")
    assert "[[ ## context ## ]]\nGenesis 1:3 God spoke, and there was light.\nStrong's: H0430" in sent


def test_a_follow_up_is_shown_the_verse_of_the_turn_before(tmp_path: Path, upstream: Upstream) -> None:
    sent = ask(
        tmp_path, upstream, SAMPLE, "What does Ps. 23:1 say?", "The LORD is my shepherd.", "Which word?"
    )
    assert "[[ ## context ## ]]\nPsalms 23:1 The LORD is my shepherd" in sent


def test_inputs_of_the_body_are_completed_too(tmp_path: Path, upstream: Upstream) -> None:
    body = {"inputs": {"question": "Read John 99:1"}}
    assert "John 99:1 is not in the small bundled sample: name full tables with --tables DIR" in ask(
        tmp_path, upstream, SAMPLE, "x", extra_body=body
    )


def test_a_gateway_without_the_tables_says_in_a_sentence_how_to_get_them(
    tmp_path: Path, upstream: Upstream
) -> None:
    with pytest.raises(APIStatusError) as caught:
        ask(tmp_path, upstream, tmp_path / "none", "Gen 1:3?")
    assert (caught.value.status_code, caught.value.code) == (503, "model_unavailable")
    assert "--tables DIR" in caught.value.message and "SMALLFORGE_DATA" in caught.value.message
