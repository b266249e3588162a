"""Tests for gateway/conversation.py."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.conversation import Conversation, Inputs
from gateway.errors import RequestInvalid
from gateway.protocol import ChatRequest
from programs.plan import Field
from programs.program import Chat

QUIZ = Conversation("quiz", Chat(user="question", answer="answer"), [Field("question")])
READING = Conversation(
    "reading",
    Chat(user="question", answer="answer", system="context", history="history"),
    [Field("context"), Field("question"), Field("history", "history", required=False)],
)


def _user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def _assistant(text: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def _system(text: str, role: str = "system") -> dict[str, Any]:
    return {"role": role, "content": text}


def _inputs(conversation: Conversation, *messages: Any, inputs: dict[str, Any] | None = None) -> Inputs:
    return conversation.inputs(ChatRequest("m", list(messages), inputs))


def _refused(
    conversation: Conversation, *messages: Any, inputs: dict[str, Any] | None = None
) -> RequestInvalid:
    with pytest.raises(RequestInvalid) as caught:
        _inputs(conversation, *messages, inputs=inputs)
    return caught.value


def test_the_last_user_text_is_the_input() -> None:
    assert _inputs(QUIZ, _user("How many?")) == ({"question": "How many?"}, [])


def test_what_a_program_does_not_take_is_named() -> None:
    chat = [_system("be nice"), _user("a"), _assistant("b"), _user("How many?")]
    assert _inputs(QUIZ, *chat) == ({"question": "How many?"}, ["messages.system", "messages.history"])


def test_system_and_developer_texts_are_joined_by_a_blank_line() -> None:
    found = _inputs(
        READING, _system("one"), _user("q"), _assistant("r"), _system("two", "developer"), _user("s")
    )
    assert found.values["context"] == "one\n\ntwo"


def test_earlier_pairs_become_history() -> None:
    chat = [_system("c"), _user("q1"), _assistant("a1"), _user("q2"), _assistant("a2"), _user("q3")]
    assert _inputs(READING, *chat).values["history"] == [
        {"question": "q1", "answer": "a1"},
        {"question": "q2", "answer": "a2"},
    ]


def test_an_earlier_turn_without_its_half_stays_a_turn() -> None:
    chat = [
        _system("c"),
        _assistant("hello"),
        _user("q1"),
        _user("q2"),
        _assistant("a2"),
        _assistant("b2"),
        _user("q"),
    ]
    assert _inputs(READING, *chat).values["history"] == [
        {"answer": "hello"}, {"question": "q1"}, {"question": "q2", "answer": "a2"}, {"answer": "b2"},
    ]  # fmt: skip


def test_inputs_of_the_body_win_over_the_chat() -> None:
    assert _inputs(QUIZ, _user("chat"), inputs={"question": "body"}) == ({"question": "body"}, ["messages"])
    assert _inputs(QUIZ, inputs={"question": "body"}) == ({"question": "body"}, [])


def test_json_of_the_user_becomes_inputs_where_several_texts_are_required() -> None:
    values = {"context": "c", "question": "q"}
    found = _inputs(READING, _system("x"), _user(orjson.dumps(values).decode()))
    assert found == (values, ["messages.system"])


@pytest.mark.parametrize(
    "text", ['{"question": "q"}', '{"context": "c", "question": "q", "more": 1}', "{not json}"]
)
def test_json_that_does_not_fit_is_an_ordinary_text(text: str) -> None:
    assert _inputs(READING, _system("c"), _user(text)).values == {"context": "c", "question": text}


def test_a_program_with_one_input_never_parses_json() -> None:
    text = '{"question": "forged"}'
    assert _inputs(QUIZ, _user(text)).values == {"question": text}


def test_text_parts_are_concatenated() -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    assert _inputs(QUIZ, _user(parts)).values == {"question": "one two"}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://x"}},
        {"type": "input_audio"},
        {"type": "text", "text": 5},
        {"text": "x"},
        "x",
        5,
        None,
    ],
)
def test_any_other_part_is_refused(part: Any) -> None:
    error = _refused(QUIZ, _user([{"type": "text", "text": "look"}, part]))
    assert (error.status, error.param, error.code) == (400, "messages[0].content", "unsupported_content")


@pytest.mark.parametrize("content", [None, 5, {"text": "x"}, True])
def test_content_of_another_type_is_refused(content: Any) -> None:
    assert _refused(QUIZ, _user(content)).param == "messages[0].content"


@pytest.mark.parametrize("role", ["tool", "function", "robot", None, 7, ["user"]])
def test_other_roles_are_refused(role: Any) -> None:
    assert _refused(QUIZ, {"role": role, "content": "x"}, _user("q")).param == "messages[0].role"


def test_an_assistant_that_called_tools_is_refused() -> None:
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    assert _refused(READING, _system("c"), called, _user("q")).code == "unsupported_parameter"


def test_the_last_message_must_be_the_users() -> None:
    assert "must be of role 'user'" in _refused(QUIZ, _user("q"), _assistant("a")).message


@pytest.mark.parametrize("message", ["text", 5, None, ["user", "x"]])
def test_a_message_that_is_no_object_is_refused(message: Any) -> None:
    assert _refused(QUIZ, message).param == "messages[0]"


def test_no_messages_at_all_are_refused() -> None:
    assert _refused(QUIZ).param == "messages"


@pytest.mark.parametrize("text", ["", "   \n"])
def test_an_empty_required_input_is_named_and_inputs_are_shown(text: str) -> None:
    error = _refused(QUIZ, _user(text))
    assert (error.param, error.code) == ("inputs.question", "missing_input")
    assert '"inputs": {"question":"..."}' in error.message


def test_a_required_input_that_the_chat_lacks_is_named() -> None:
    error = _refused(READING, _user("q"))
    assert error.param == "inputs.context"
    assert '{"context":"...","question":"..."}' in error.message


def test_unknown_and_missing_names_in_inputs_are_refused() -> None:
    assert _refused(QUIZ, inputs={"question": "q", "forward": "boom"}).param == "inputs.forward"
    assert _refused(READING, inputs={"question": "q"}).param == "inputs.context"


def test_deep_inputs_are_refused_before_anything_walks_them() -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    assert (
        "deeper than" in _refused(READING, inputs={"context": "c", "question": "q", "history": deep}).message
    )


def test_a_text_for_a_typed_input_is_read_as_that_type() -> None:
    counting = Conversation("counting", Chat(user="n", answer="answer"), [Field("n", "int")])
    assert _inputs(counting, _user("12")).values == {"n": 12}
    assert "must be int" in _refused(counting, _user("a dozen")).message
    sorting = Conversation(
        "sorting", Chat(user="kind", answer="a"), [Field("kind", "literal", ("big", "small"))]
    )
    assert _inputs(sorting, _user("big")).values == {"kind": "big"}
    assert "'big' or 'small'" in _refused(sorting, _user("huge")).message
