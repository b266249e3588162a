from __future__ import annotations

from typing import Any

import pytest

from programs.errors import DataInvalid
from programs.tasks.lesson_rows import inputs_of, lesson_of, lessons_of, unused_fields

PAIR = {"query": "Why?", "response": "Because."}


def mistakes(**row: Any) -> tuple[str, ...]:
    with pytest.raises(DataInvalid) as caught:
        lessons_of(row)
    return caught.value.mistakes


def test_the_usual_names_of_fields_are_understood_whatever_their_case() -> None:
    (lesson,) = lessons_of(
        {"Question": " Why? ", "Answer": "So.", "Grade Level": 7, "TOPIC": "art", "passage": "x"}
    )
    assert lesson == {"query": "Why?", "response": "So.", "grade": "7", "subject": "art", "context": "x"}


def test_empty_fields_are_as_good_as_missing_ones() -> None:
    assert lesson_of({**PAIR, "context": "", "grade": None, "subject": "  ", "key_terms": []}) == PAIR


def test_grade_and_subject_may_stand_in_the_metadata() -> None:
    lesson = lesson_of({**PAIR, "metadata": {"grade": 3.0, "subject": "music", "mood": "good"}})
    assert (lesson["grade"], lesson["subject"]) == ("3", "music")


def test_a_context_of_several_parts_becomes_one_text() -> None:
    turns = [{"role": "teacher", "content": "Hi"}, {"role": "student", "content": "Hello"}]
    lesson = lesson_of({**PAIR, "context": {"problem": "2 + 2", "student_solution": None, "history": turns}})
    assert lesson["context"] == "Problem: 2 + 2\nHistory:\nTeacher: Hi\nStudent: Hello"


def test_accepted_responses_may_be_several_and_terms_a_text_with_commas() -> None:
    lesson = lesson_of({"query": "Why?", "response": ["So.", "", "Thus."], "key_terms": "cell wall, leaf"})
    assert (lesson["response"], lesson["key_terms"]) == (["So.", "Thus."], ["cell wall", "leaf"])


def test_everything_that_is_wrong_with_a_row_is_told_at_once() -> None:
    assert mistakes(query=5, grade=True, subject=["x"], response="") == (
        "field 'query' must be a text, not 5",
        "field 'grade' must be a text, not True",
        "field 'subject' must be a text, not ['x']",
        "it has no response: a field 'response' or 'answer' or 'completion' must hold a text",
    )
    assert mistakes(query="\ud83d", response="x") == (
        "field 'query' holds half a character (a lone surrogate), which is no text",
    )
    assert "must be a list of texts, not 7" in mistakes(**PAIR, key_terms=7)[0]


def test_a_question_without_its_answer_is_read_alike() -> None:
    asked = inputs_of({"question": " Why? ", "grade": 7.0, "context": "", "response": "So.", "key_terms": 7})
    assert asked == {"query": "Why?", "grade": "7"}
    with pytest.raises(DataInvalid) as caught:
        inputs_of({"query": " ", "grade": float("nan")})
    assert caught.value.mistakes == (
        "it has no query: a field 'query' or 'question' or 'prompt' must hold a text",
        "field 'grade' must be a text, not nan",
    )


def test_a_published_conversation_gives_its_first_two_replies() -> None:
    said = [
        "Teacher: (generic)Hi Ana",
        "Ana: I got 5",
        "Teacher: (probing)How?",
        "Ana: I added",
        "Teacher: Look again",
        "Ana: Oh",
        "Teacher: (telling)It is 4",
    ]
    row = {
        "question": "2 x 2?",
        "student_incorrect_solution": "2 + 3 = 5",
        "conversation": "|EOM|".join(said),
    }
    first, second = lessons_of(row)
    assert (first["query"], first["response"]) == ("I got 5", "How?")
    assert first["context"] == "Problem: 2 x 2?\nStudent solution: 2 + 3 = 5\nHistory: Teacher: Hi Ana"
    assert (second["query"], second["response"]) == ("I added", "Look again")
    assert mistakes(conversation="Teacher: Hi") == ("its conversation holds no teacher's reply to a student",)


def test_fields_that_nothing_is_taken_from_can_be_named() -> None:
    metadata = {"grade": 4, "move": "focus"}
    row = {"Query": "Why?", "prompt": "twice", "Grade": 5, "response": "So.", "id": 1, "metadata": metadata}
    assert unused_fields(row) == {"prompt", "id", "metadata.grade", "metadata.move"}
    assert unused_fields({**PAIR, "context": "", "metadata": None}) == set()
    assert unused_fields({"conversation": "x", "question": "y", "qid": 3}) == {"qid"}
