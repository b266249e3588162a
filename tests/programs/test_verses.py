from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import dspy
import pytest

from programs.errors import DataInvalid
from programs.program import Chat
from programs.scripture import SAMPLE, Tables, open_tables
from programs.verses import examples_with_verses, verse_adder, verse_adder_from, with_verses

CHAT = Chat(user="question", answer="answer", system="context", history="history", verses="context")
TABLES = open_tables(SAMPLE)
LIGHT = "Genesis 1:3 God spoke, and there was light."


def added(**inputs: Any) -> dict[str, Any]:
    return with_verses(inputs, CHAT, TABLES)


def test_a_question_gets_the_verses_that_it_refers_to() -> None:
    assert added(question="What does Gen 1:3 say?")["context"].startswith(LIGHT)


def test_a_question_that_refers_to_nothing_is_left_as_it_is() -> None:
    assert added(question="Who are you?") == {"question": "Who are you?"}


def test_a_follow_up_gets_the_verses_of_the_last_turn_that_refers_to_some() -> None:
    turns = [{"question": "Read John 11:35"}, {"question": "And Gen 1:3?", "answer": "..."}, {"answer": "x"}]
    assert added(question="Which word is light?", history=turns)["context"].startswith(LIGHT)
    history = dspy.History(messages=turns)
    assert added(question="Which word is light?", history=history)["context"].startswith(LIGHT)


def test_what_is_given_stays_and_verses_that_it_names_are_not_added_again() -> None:
    given = added(question="What of Gen 1:3?", context="Be brief.")["context"]
    assert given.startswith(f"Be brief.\n\n{LIGHT}")
    own = {"question": "What of Gen 1:3?", "context": "Genesis 1:3 in my own words"}
    assert added(**own) == own


@pytest.mark.parametrize("question", [None, 3, "", ["Gen 1:3"], {"Gen 1:3": 1}])
def test_an_input_that_is_no_text_is_for_others_to_refuse(question: object) -> None:
    assert added(question=question, history="John 3:16", context=["x"])["context"] == ["x"]
    assert added(question=question, history=[3, None]) == {"question": question, "history": [3, None]}


def test_a_program_without_verses_needs_no_tables(tmp_path: Path) -> None:
    add = verse_adder(Chat(user="question", answer="answer"), tmp_path)
    assert add({"question": "John 3:16"}) == {"question": "John 3:16"}
    with pytest.raises(DataInvalid):
        verse_adder(CHAT, tmp_path)


def test_rows_are_shown_the_verses_that_requests_would_be() -> None:
    row = dspy.Example(question="What does Gen 1:3 say?", answer="light").with_inputs("question", "history")
    (filled,) = examples_with_verses([row], CHAT, SAMPLE)
    assert filled.context.startswith(LIGHT) and filled.answer == "light" and "context" in filled.inputs()


def test_what_strangers_write_is_read_up_to_a_limit() -> None:
    begun = perf_counter()
    long = {"question": "i is so " * 100_000}
    filled = added(question="Ps 1:1; " * 5_000, context="Ps 2:1; " * 100_000, history=[long] * 100)
    assert "Psalms 1:1" in filled["context"]
    assert added(history=[{"question": "Gen 1:3"}, *[long] * 100], **long).get("context") is None
    assert perf_counter() - begun < 3


def test_tables_are_opened_only_where_a_program_takes_verses() -> None:
    opened: list[int] = []

    def open_them() -> Tables:
        opened.append(1)
        return TABLES

    assert verse_adder_from(Chat(user="question", answer="answer"), open_them)({}) == {} and opened == []
    assert "context" in verse_adder_from(CHAT, open_them)({"question": "Gen 1:3"}) and opened == [1]
