"""Tests for gateway/messages.py: every kind of message and part that OpenAI knows, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from openai import BadRequestError, OpenAI
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionContentPartParam,
    ChatCompletionMessageParam,
)

from gateway.errors import RequestInvalid
from gateway.messages import PastCall, Turn, read_messages
from programs.plan import Field
from programs.program import Chat
from tests.gateway.serving import fingerprint_of, make_plan, put_release, running_gateway, settings_for
from tests.gateway.upstream import Upstream

ASK = {"role": "user", "content": "q"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
FILE = {"type": "file", "file": {"file_id": "f-1"}}
CALL = {"id": "c-1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def _text(text: Any, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


def _refusal(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text}


READ: list[tuple[dict[str, Any], str, str, list[str]]] = [
    ({"role": "system", "content": "be brief"}, "system", "be brief", []),
    ({"role": "developer", "content": "be brief"}, "system", "be brief", []),
    ({"role": "developer", "content": [_text("be "), _text("brief")]}, "system", "be brief", []),
    ({"role": "user", "content": "hi"}, "user", "hi", []),
    ({"role": "user", "content": [_text("one "), _text("two")]}, "user", "one two", []),
    ({"role": "user", "content": []}, "user", "", []),
    ({"role": "user", "content": ""}, "user", "", []),
    ({"role": "user", "content": "hi", "name": "ann"}, "user", "hi", ["messages.name"]),
    ({"role": "user", "content": "hi", "name": None}, "user", "hi", []),
    ({"role": "system", "content": "hi", "name": "ann"}, "system", "hi", ["messages.name"]),
    ({"role": "user", "content": [_text("hi", cache_control={"type": "x"})]}, "user", "hi",
     ["messages.content.cache_control"]),
    ({"role": "user", "content": [_text("hi", prompt_cache_breakpoint={"mode": "explicit"})]}, "user", "hi",
     ["messages.content.prompt_cache_breakpoint"]),
    ({"role": "user", "content": "hi", "tool_calls": [CALL]}, "user", "hi", ["messages.tool_calls"]),
    ({"role": "assistant", "content": "hi"}, "assistant", "hi", []),
    ({"role": "assistant", "content": None}, "assistant", "", []),
    ({"role": "assistant"}, "assistant", "", []),
    ({"role": "assistant", "content": [_text("I "), _refusal("won't")]}, "assistant", "I won't", []),
    ({"role": "assistant", "content": None, "refusal": "I won't"}, "assistant", "I won't", []),
    ({"role": "assistant", "content": "hi", "refusal": None, "audio": None, "function_call": None,
      "tool_calls": []}, "assistant", "hi", []),
    ({"role": "assistant", "content": "hi", "reasoning": "r", "outputs": {"answer": "hi"},
      "annotations": []}, "assistant", "hi", []),
    ({"role": "assistant", "content": "hi", "name": "bot", "prefix": True}, "assistant", "hi",
     ["messages.name", "messages.prefix"]),
]  # fmt: skip

REFUSED: list[tuple[Any, str, str | None]] = [
    ({"role": "tool", "content": "4", "tool_call_id": "c-1"}, "messages[0].role", "unsupported_role"),
    ({"role": "function", "content": "4", "name": "f"}, "messages[0].role", "unsupported_role"),
    ({"role": "robot", "content": "x"}, "messages[0].role", "invalid_value"),
    ({"role": None, "content": "x"}, "messages[0].role", "invalid_value"),
    ({"role": 7, "content": "x"}, "messages[0].role", "invalid_value"),
    ({"role": ["user"], "content": "x"}, "messages[0].role", "invalid_value"),
    ({"content": "x"}, "messages[0].role", "invalid_value"),
    ({"role": "assistant", "content": None, "tool_calls": [CALL]}, "messages[0]", "unsupported_parameter"),
    ({"role": "assistant", "content": "x", "function_call": {"name": "f", "arguments": ""}}, "messages[0]",
     "unsupported_parameter"),
    ({"role": "assistant", "content": None, "audio": {"id": "a-1"}}, "messages[0].audio",
     "unsupported_content"),
    ({"role": "assistant", "content": 0}, "messages[0].content", None),
    ({"role": "user", "content": None}, "messages[0].content", None),
    ({"role": "user"}, "messages[0].content", None),
    ({"role": "user", "content": 5}, "messages[0].content", None),
    ({"role": "user", "content": {"text": "x"}}, "messages[0].content", None),
    ({"role": "system", "content": None}, "messages[0].content", None),
    *[({"role": "user", "content": [_text("look"), part]}, "messages[0].content", "unsupported_content")
      for part in (IMAGE, AUDIO, FILE, _refusal("no"), _text(5), {"text": "x"}, "x", 5, None,
                   {"type": ["text"], "text": "x"})],
    ("text", "messages[0]", None),
    (5, "messages[0]", None),
    (None, "messages[0]", None),
    (["user", "x"], "messages[0]", None),
]  # fmt: skip


@pytest.mark.parametrize(("message", "role", "text", "dropped"), READ)
def test_what_a_message_says_and_what_is_left_aside(
    message: dict[str, Any], role: str, text: str, dropped: list[str]
) -> None:
    found = read_messages([message, ASK])
    assert found == ([Turn(role, text), Turn("user", "q")], dropped)


@pytest.mark.parametrize(("message", "param", "code"), REFUSED)
def test_what_no_program_can_read_is_refused(message: Any, param: str, code: str | None) -> None:
    with pytest.raises(RequestInvalid) as caught:
        read_messages([message, ASK])
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, param, code)


def _kinds(union: Any, key: str) -> set[str]:
    """The values of the key by which the members of one of OpenAI's unions are told apart."""
    return {get_args(get_type_hints(member)[key])[0] for member in get_args(union)}


def test_every_role_and_part_of_openai_is_among_them() -> None:
    read: list[Any] = [message for message, *_ in READ]
    refused = [message for message, *_ in REFUSED if isinstance(message, dict)]
    everything = [*read, *refused]
    assert _kinds(ChatCompletionMessageParam, "role") <= {str(message.get("role")) for message in everything}
    parts = [
        part
        for message in everything
        if isinstance(message.get("content"), list)
        for part in message["content"]
        if isinstance(part, dict)
    ]
    assert _kinds(ChatCompletionContentPartParam, "type") <= {str(part.get("type")) for part in parts}
    keys = {key for message in everything if message.get("role") == "assistant" for key in message}
    assert ChatCompletionAssistantMessageParam.__annotations__.keys() <= keys


def test_no_messages_at_all_are_refused() -> None:
    with pytest.raises(RequestInvalid, match="at least one message"):
        read_messages([])


@pytest.mark.parametrize(
    ("last", "why"),
    [({"role": "assistant", "content": "The answer is"}, "begins its own reply"),
     ({"role": "system", "content": "be brief"}, "must be of role 'user', not 'system'")],
)  # fmt: skip
def test_the_last_message_must_be_the_users(client: OpenAI, last: Any, why: str) -> None:
    messages: Any = [ASK, last]
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model="quiz", messages=messages)
    assert (caught.value.param, caught.value.code) == ("messages[1].role", "unsupported_role")
    assert why in caught.value.message


def test_a_reply_can_be_sent_back_as_it_came_even_in_strict_mode(upstream: Upstream, tmp_path: Path) -> None:
    plan = make_plan(
        "talk", inputs=(Field("question"), Field("history", "history", required=False)),
        chat=Chat(user="question", answer="answer", history="history", reasoning=("reasoning",)),
    )  # fmt: skip
    put_release(tmp_path / "releases", plan, fingerprint_of(upstream.url))
    with (
        running_gateway(settings_for(tmp_path, upstream.url, gateway="strict = true")) as gateway,
        OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client,
    ):
        messages: list[Any] = [{"role": "user", "content": "first"}]
        messages.append(client.chat.completions.create(model="talk", messages=messages).choices[0].message)
        messages.append({"role": "user", "content": "second"})
        client.chat.completions.create(model="talk", messages=messages)
    contents = [message["content"] for message in upstream.asked[1]["messages"]]
    assert "forty-two" in contents[2] and "second" in contents[3]


def test_a_name_is_left_aside_and_named(client: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "q", "name": "ann"}]
    raw = client.chat.completions.with_raw_response.create(model="quiz", messages=messages)
    assert raw.headers["x-smallforge-ignored"] == "messages.name"


CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "c-2"}]}
GIVEN = [{"role": "tool", "tool_call_id": id, "content": id} for id in ("c-2", "c-1")]
BROKEN = {"id": "c-1", "type": "function", "function": {"name": "f", "arguments": "{"}}


def test_calls_of_tools_and_what_they_gave_are_one_turn() -> None:
    turns, dropped = read_messages([ASK, CALLING, *GIVEN], with_tools=True)
    calls = (PastCall("c-1", "f", {}), PastCall("c-2", "f", {}))
    assert turns[1:] == [Turn("assistant", "", calls, {"c-1": "c-1", "c-2": "c-2"})] and not dropped


@pytest.mark.parametrize(
    ("messages", "param", "told"),
    [
        ([ASK, CALLING], "messages", "must answer the calls c-1, c-2"),
        ([ASK, CALLING, GIVEN[0], ASK], "messages", "must answer the calls c-1"),
        ([ASK, CALLING, GIVEN[0], GIVEN[0]], "messages[3].tool_call_id", "of no open call"),
        ([ASK, GIVEN[0]], "messages[1].tool_call_id", "of no open call"),
        ([GIVEN[0]], "messages[0].tool_call_id", "of no open call"),
        ([CALLING, *GIVEN], "messages", "at least one message of role 'user'"),
        ([ASK, {"role": "assistant", "tool_calls": [BROKEN]}], "messages[1].tool_calls[0]", "a JSON object"),
        ([ASK, {"role": "assistant", "tool_calls": [3]}], "messages[1].tool_calls[0]", "must have an id"),
        ([ASK, {"role": "assistant", "tool_calls": "x"}], "messages[1].tool_calls", "must be an array"),
        ([ASK, {"role": "assistant", "function_call": CALL["function"]}], "messages[1]", "by 'tool_calls'"),
        ([ASK, {"role": "function", "name": "f", "content": "x"}], "messages[1].role", "of role 'tool' here"),
        ([ASK, CALLING, {**GIVEN[0], "content": [IMAGE]}], "messages[2].content", "text parts only"),
        ([ASK, {"role": "assistant", "content": "Sure, "}], "messages[1].role", "begins its own reply"),
    ],
)
def test_calls_and_results_that_do_not_belong_together_are_refused(
    messages: list[Any], param: str, told: str
) -> None:
    with pytest.raises(RequestInvalid, match=told) as caught:
        read_messages(messages, with_tools=True)
    assert caught.value.param == param
