"""What clients made for LM Studio look for: its model list, its paths, and no key."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.gateway.serving import RunningGateway

CHAT: Any = {"model": "quiz", "messages": [{"role": "user", "content": "q"}]}


def test_models_are_listed_as_lm_studio_lists_its_own(gateway: RunningGateway) -> None:
    body = httpx.get(f"{gateway.url}/api/v0/models").json()
    entries = {entry["id"]: entry for entry in body["data"]}
    assert body["object"] == "list" and {"quiz", "counting"} <= entries.keys()
    assert entries["quiz"] == {
        "id": "quiz",
        "object": "model",
        "type": "llm",
        "publisher": "smallforge",
        "arch": "plan",
        "compatibility_type": "gguf",
        "state": "loaded",
        "max_context_length": 8192,
        "loaded_context_length": 8192,
    }


def test_one_model_is_shown_by_its_name(gateway: RunningGateway) -> None:
    release = httpx.get(f"{gateway.url}/v1/models/quiz").json()["smallforge"]["release"]
    assert httpx.get(f"{gateway.url}/api/v0/models/{release}").json()["id"] == release
    unknown = httpx.get(f"{gateway.url}/api/v0/models/lab/nope")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


def test_chats_are_answered_under_lm_studios_path_too(gateway: RunningGateway) -> None:
    with OpenAI(base_url=f"{gateway.url}/api/v0", api_key="lm-studio", max_retries=0) as client:
        reply = client.chat.completions.create(**CHAT)
    assert reply.choices[0].message.content == "forty-two"
    assert httpx.post(f"{gateway.url}/api/v0/embeddings", json={"model": "nope"}).status_code == 404


@pytest.mark.parametrize("value", [None, "", "Bearer lm-studio", "Bearer", "Basic dXNlcjpwdw==", "whatever"])
@pytest.mark.parametrize("path", ["/v1/models", "/api/v0/models", "/v1/chat/completions"])
def test_no_key_and_any_key_are_the_same(gateway: RunningGateway, path: str, value: str | None) -> None:
    headers = {} if value is None else {"authorization": value}
    method, body = ("POST", CHAT) if path.endswith("completions") else ("GET", None)
    assert httpx.request(method, gateway.url + path, json=body, headers=headers).status_code == 200
