"""Tests for gateway/responses_request.py and responses_policy.py: what a body asks for."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)

from gateway.errors import RequestInvalid
from gateway.policy import OPENAI as CHAT
from gateway.protocol import ChatRequest
from gateway.responses_policy import ALSO_TAKEN, RESPONSES
from gateway.responses_request import Repeated, read_responses_request

IMAGE = [{"type": "input_image", "image_url": "data:"}]
STRANGE = [{"type": [], "text": "x"}, {"type": "input_text"}]
NO_SCHEMA = {"type": "json_schema", "name": "x", "schema": 1}


def read(**body: Any) -> tuple[ChatRequest, Repeated]:
    return read_responses_request({"model": "quiz", **body}, 3)


def refusal(**body: Any) -> RequestInvalid:
    with pytest.raises(RequestInvalid) as caught:
        read(**body)
    return caught.value


def test_every_field_of_openais_has_a_policy() -> None:
    fields = ResponseCreateParamsNonStreaming.__annotations__ | ResponseCreateParamsStreaming.__annotations__
    assert RESPONSES.keys() == fields.keys()


def test_fields_of_both_protocols_are_treated_alike() -> None:
    same = RESPONSES.keys() & CHAT.keys() - {"stream", "store", "metadata", "stream_options"}
    assert {name: RESPONSES[name] for name in same} == {name: CHAT[name] for name in same}
    assert not ALSO_TAKEN.keys() & RESPONSES.keys()


def test_a_text_is_a_users_message_and_instructions_stand_before_it() -> None:
    request, repeated = read(input="q", instructions="Be brief.")
    assert request.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "q"},
    ]
    assert repeated.instructions == "Be brief."


def test_messages_of_every_kind_become_turns() -> None:
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    refusal = {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}
    request, _ = read(
        input=[{"role": "developer", "content": "s"}, refusal, {"role": "user", "content": parts}]
    )
    assert [(it["role"], it["content"]) for it in request.messages] == [
        ("developer", "s"),
        ("assistant", "no"),
        ("user", "ab"),
    ]


def test_limits_sampling_and_extras_are_those_of_a_chat() -> None:
    request, repeated = read(
        input="q", max_output_tokens=7, top_p=0.5, seed=3, top_k=4, stop="x", stream=True
    )
    assert (request.max_tokens, request.stop, request.stream) == (7, ("x",), True)
    assert request.upstream == {"top_p": 0.5, "seed": 3, "top_k": 4}
    assert (repeated.max_output_tokens, repeated.top_p) == (7, 0.5)


def test_a_format_is_a_chats_one_level_flatter() -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    wanted = {"type": "json_schema", "name": "quiz", "schema": schema, "strict": True}
    request, repeated = read(input="q", text={"format": wanted})
    assert request.format is not None and request.format.schema is not None
    assert request.format.schema.root == schema and repeated.format == wanted
    assert read(input="q", text={"format": {"type": "text"}})[0].format is None


def test_what_is_left_aside_is_named() -> None:
    request, _ = read(input="q", reasoning={"effort": "low"}, include=["x"], text={"verbosity": "low"}, n=2)
    assert set(request.ignored) == {"reasoning", "include", "text.verbosity", "n"}


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "input", "missing_required_parameter"),
        ({"input": []}, "input", "missing_required_parameter"),
        ({"input": 7}, "input", "invalid_value"),
        ({"input": ["q"]}, "input[0]", None),
        ({"input": [{"role": "user", "content": "q"}] * 4}, "input", None),
        ({"input": [{"role": "assistant", "content": "a"}]}, "input", None),
        ({"input": [{"role": "tool", "content": "a"}]}, "input[0].role", None),
        ({"input": [{"role": "user"}]}, "input[0].content", None),
        ({"input": [{"role": "user", "content": STRANGE}]}, "input[0].content", "unsupported_content"),
        ({"input": [{"role": "user", "content": IMAGE}]}, "input[0].content", "unsupported_content"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0]", "unsupported_content"),
        ({"input": [{"type": "item_reference", "id": "m"}]}, "input[0]", "unsupported_parameter"),
        ({"input": "q", "instructions": ["x"]}, "instructions", "invalid_value"),
        ({"input": "q", "text": "json"}, "text", "invalid_value"),
        ({"input": "q", "text": {"format": {"type": "xml"}}}, "text.format", "invalid_value"),
        ({"input": "q", "text": {"format": NO_SCHEMA}}, "text.format", "invalid_schema"),
        ({"input": "q", "metadata": {"a": 1}}, "metadata", "invalid_value"),
        ({"input": "q", "max_output_tokens": 0}, "max_output_tokens", "invalid_value"),
        ({"input": "q", "temperature": 9}, "temperature", "invalid_value"),
    ],
)  # fmt: skip
def test_mistakes_are_told_by_the_field_they_are_in(
    body: dict[str, Any], param: str, code: str | None
) -> None:
    error = refusal(**body)
    assert (error.param, error.code) == (param, code)
    assert "response_format" not in error.message and "messages[" not in error.message
