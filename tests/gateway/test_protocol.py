"""Tests for gateway/protocol.py."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.errors import RequestInvalid
from gateway.protocol import ChatRequest, answer_text, header_names, read_object, request_from

ASK: dict[str, Any] = {"model": "quiz", "messages": [{"role": "user", "content": "hi"}]}


def _read(**fields: Any) -> ChatRequest:
    return request_from(read_object(orjson.dumps({**ASK, **fields})), 100)


def _refused(data: bytes) -> RequestInvalid:
    with pytest.raises(RequestInvalid) as caught:
        request_from(read_object(data), 100)
    return caught.value


def test_a_plain_request_asks_for_nothing_special() -> None:
    request = _read()
    assert (request.model, request.stream, request.max_tokens, request.stop) == ("quiz", False, None, ())
    assert (request.upstream, request.ignored, request.inputs) == ({}, [], None)


def test_sampling_goes_upstream_and_the_rest_does_not() -> None:
    request = _read(
        temperature=0.5, top_p=0.9, seed=7, top_k=3, user="me", max_tokens=9, stop="x", stream=True
    )
    assert request.upstream == {"temperature": 0.5, "top_p": 0.9, "seed": 7, "top_k": 3}
    assert request.ignored == ["user"]


def test_the_smaller_of_two_token_limits_counts() -> None:
    assert _read(max_tokens=9, max_completion_tokens=5).max_tokens == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 2.5), ("temperature", "hot"), ("temperature", True), ("temperature", -0.1),
        ("top_p", 1.5), ("seed", 1.5), ("seed", 2**63), ("max_tokens", 0), ("max_tokens", 10**12),
        ("max_tokens", True), ("max_completion_tokens", "many"), ("stream", "yes"), ("stream", 1),
        ("stream_options", []), ("stop", ["a"] * 5), ("stop", ""), ("stop", [""]), ("stop", ["a" * 257]),
        ("stop", {}), ("messages", "hi"), ("messages", {}), ("model", 5), ("model", ""), ("inputs", []),
        ("inputs", "text"), ("top_k", "few"), ("n", 0), ("n", 9), ("n", 10**9), ("n", "1"), ("n", 1.5),
        ("n", True),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_named(field: str, value: object) -> None:
    with pytest.raises(RequestInvalid) as caught:
        _read(**{field: value})
    assert caught.value.param == field
    assert caught.value.code == "invalid_value"
    assert field in caught.value.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [{"type": "function"}]), ("logprobs", True),
        ("tool_choice", "required"), ("logit_bias", {"1": 9}),
        ("modalities", ["text", "audio"]), ("chat_template", "{{x}}"), ("chat_template_kwargs", {"a": 1}),
        ("structured_outputs", {"choice": ["a"]}), ("ignore_eos", True), ("kv_transfer_params", {}),
    ],
)  # fmt: skip
def test_what_a_program_cannot_do_is_refused_with_the_reason(field: str, value: object) -> None:
    with pytest.raises(RequestInvalid) as caught:
        _read(**{field: value})
    assert (caught.value.status, caught.value.param, caught.value.code) == (
        400,
        field,
        "unsupported_parameter",
    )


def test_options_of_a_stream_are_applied_or_named() -> None:
    options = {"include_usage": True, "include_obfuscation": False, "continuous_usage_stats": True}
    request = _read(stream=True, stream_options=options)
    assert (request.include_usage, request.ignored) == (True, ["stream_options.continuous_usage_stats"])
    assert not _read(stream=True, stream_options={"include_usage": None}).include_usage


@pytest.mark.parametrize(
    "fields", [{"stream_options": {"include_usage": True}},
               {"stream": True, "stream_options": {"include_usage": "yes"}}],
)  # fmt: skip
def test_options_that_no_stream_can_have_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestInvalid) as caught:
        _read(**fields)
    assert (caught.value.param, caught.value.code) == ("stream_options", "invalid_value")


def test_unknown_fields_are_ignored_and_reported() -> None:
    assert _read(api_base="http://elsewhere", mock_response="hi").ignored == ["api_base", "mock_response"]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"nonsense", b'{"model": "\\ud800"}', b"[" * 100_000, b"\xff\xfe{}"]
)
def test_a_body_that_is_no_json_is_refused(data: bytes) -> None:
    assert "no JSON" in _refused(data).message


@pytest.mark.parametrize("data", [b"[]", b'"text"', b"17", b"null", b"true"])
def test_a_body_that_is_no_object_is_refused(data: bytes) -> None:
    assert "must be a JSON object" in _refused(data).message


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_required_field_is_named_when_it_is_missing(missing: str) -> None:
    body = {name: value for name, value in ASK.items() if name != missing}
    error = _refused(orjson.dumps(body))
    assert (error.param, error.code) == (missing, "missing_required_parameter")


def test_messages_may_be_missing_when_inputs_are_given() -> None:
    request = request_from({"model": "quiz", "inputs": {"question": "hi"}}, 100)
    assert (request.inputs, request.messages) == ({"question": "hi"}, [])


def test_too_many_messages_are_refused() -> None:
    with pytest.raises(RequestInvalid, match="at most 100 messages"):
        _read(messages=ASK["messages"] * 101)


def test_a_name_that_a_client_chose_cannot_break_a_header() -> None:
    assert header_names(["user", "a\r\nset-cookie: x", "ünïcode", "user", "x" * 99]) == b"user, ?"
    assert len(header_names([f"field{n}" for n in range(1000)])) < 500


@pytest.mark.parametrize(
    ("value", "text"), [("as is", "as is"), (5, "5"), (2.5, "2.5"), (True, "true"), (["a", "b"], '["a","b"]')]
)
def test_an_answer_that_is_no_text_is_shown_as_json(value: object, text: str) -> None:
    assert answer_text(value) == text
