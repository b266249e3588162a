"""Clients that nobody here wrote do all they do with OpenAI: whole, streamed and typed answers, errors."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from tests.gateway.serving import RunningGateway
from tests.gateway.upstream import Upstream
from tests.integration.clients.conftest import FOREIGN, Clients

_TEXT_ONLY = "programs read text"
NOT_FOR_PROGRAMS = {
    "test_pdf_inputs": _TEXT_ONLY,
    "test_audio_inputs": _TEXT_ONLY,
    "test_image_inputs": _TEXT_ONLY,
    "test_image_tool_message": _TEXT_ONLY,
    "test_pdf_tool_message": _TEXT_ONLY,
    "test_anthropic_inputs": "its parts are those of Anthropic's own protocol",
    "test_stream_time": "it times a recording of HTTP, and nothing is recorded here",
}
"""LangChain's standard tests that are left out, each with its reason."""


@pytest.mark.parametrize("python", ["python", sys.executable], ids=["newest", "ours"])
def test_openais_client_for_python(clients: Clients, scripted: RunningGateway, python: str) -> None:
    assert re.fullmatch(r"\d+ passed in .*", clients.suite("openai_sdk", scripted.url, python))


def test_openais_client_for_node(clients: Clients, scripted: RunningGateway) -> None:
    said = clients.run("node", "--test", str(FOREIGN / "node" / "client.test.mjs"), gateway=scripted.url)
    passed = re.search(r"^\S+ pass (\d+)$", said, re.MULTILINE)
    assert passed is not None and int(passed[1]) > 10


def test_langchains_standard_tests_pass_or_have_a_reason_to_be_left_out(
    clients: Clients, scripted: RunningGateway
) -> None:
    assert " passed, " in clients.suite("langchain_suite", scripted.url)
    left_out = {
        case.attrib["name"].split("[")[0]
        for case in ET.parse(clients.home / "results.xml").iter("testcase")
        if case.find("skipped") is not None
    }
    assert left_out == NOT_FOR_PROGRAMS.keys()


def test_instructor(clients: Clients, scripted: RunningGateway) -> None:
    assert re.fullmatch(r"\d+ passed.* in .*", clients.suite("instructor_suite", scripted.url))


def test_the_command_llm(clients: Clients, scripted: RunningGateway, upstream: Upstream) -> None:
    models: list[dict[str, Any]] = [
        {"model_id": name, "model_name": name, "api_base": f"{scripted.url}/v1", "supports_schema": True}
        for name in ("quiz", "joking", "nobody")
    ]
    # Every JSON is YAML too.
    (clients.home / "extra-openai-models.yaml").write_text(json.dumps(models))
    assert clients.run("llm", "-m", "quiz", "6 x 7?") == "forty-two\n"
    told = clients.run("llm", "-m", "joking", "--no-stream", "-s", "Be short.", "Tell me a joke.")
    assert told == "To keep an eye on the mouse.\n"
    clients.run("llm", "-c", "Another one.")
    assert "Tell me a joke." in [message["content"] for message in upstream.asked[-1]["messages"]][1]
    typed = json.loads(clients.run("llm", "-m", "joking", "--schema", "setup, punchline", "A joke."))
    assert typed.keys() == {"setup", "punchline"}
    assert "no model 'nobody'" in clients.run("llm", "-m", "nobody", "q", code=1).lower()


@pytest.mark.usefixtures("curl")
def test_curl(clients: Clients, scripted: RunningGateway) -> None:
    def ask(question: str, *options: str, stream: bool = False, code: int = 0) -> str:
        body = {"model": "quiz", "messages": [{"role": "user", "content": question}], "stream": stream}
        url = f"{scripted.url}/v1/chat/completions"
        return clients.run("curl", "-s", "--json", json.dumps(body), *options, url, code=code)

    assert json.loads(ask("6 x 7?"))["choices"][0]["message"]["content"] == "forty-two"
    events = [event for event in ask("6 x 7?", "-N", stream=True).split("\n\n") if event]
    assert all(event.startswith("data: {") for event in events[:-1]) and events[-1] == "data: [DONE]"
    failed = ask("too long", "--fail-with-body", code=22)
    assert json.loads(failed)["error"]["code"] == "context_length_exceeded"


def test_what_schemathesis_makes_up_is_answered_as_the_api_page_says(
    clients: Clients, scripted: RunningGateway
) -> None:
    settings, page = FOREIGN / "schemathesis.toml", f"{scripted.url}/openapi.json"
    options = ("--max-examples", "40", "--phases", "examples,coverage,fuzzing", "--no-color")
    said = clients.run("st", "--config-file", str(settings), "run", page, *options)
    assert re.search(r"\d+ generated, \d+ passed", said)
