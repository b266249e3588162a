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


def test_keys_of_messages_that_nothing_is_done_with_are_named() -> None:
    named = {**_user("How many?"), "name": "ann"}
    assert _inputs(QUIZ, _system("be nice"), named).dropped == ["messages.system", "messages.name"]


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
