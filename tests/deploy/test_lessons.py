from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import dspy
import pytest

from deploy.student.frames import FULL, SHORT
from deploy.student.lessons import INSTRUCTIONS, Lesson, Lessons, Manner, human_lessons
from deploy.student.prompts import Turn
from programs.adapter import ProgramAdapter
from programs.tasks.teaching import LESSONS, make_module, program

LABEL = "word " * 42  # as long as the answers that people wrote
FIELD = re.compile(r"\[\[ ## (\w+) ## \]\]\n(.*?)(?=\n\n\[\[ ## |\n\nRespond with|\Z)", re.DOTALL)


@pytest.fixture(scope="module")
def lessons() -> Lessons:
    return Lessons()


@pytest.fixture(scope="module")
def chats(lessons: Lessons) -> list[list[Turn]]:
    rng = random.Random(1)
    return [lessons.chat(rng, 4) for _ in range(600)]


@pytest.fixture(scope="module")
def drawn(lessons: Lessons) -> list[Lesson]:
    rng = random.Random(2)
    return [lessons.lesson(rng) for _ in range(300)]


def scores(lesson: Lesson, manner: Manner, label: str = LABEL) -> float:
    example = dspy.Example(**lesson.inputs, response=label)
    return float(program.metric(example, dspy.Prediction(response=manner.reply(lesson))))


def fields(turns: list[Turn]) -> dict[str, str]:
    return {
        name: value for turn in turns for name, value in FIELD.findall(turn.content) if name != "completed"
    }


def test_a_chat_is_byte_for_byte_what_the_adapter_renders(chats: list[list[Turn]]) -> None:
    signature: Any = make_module().signature
    lacking = 0
    for system, *turns in chats:
        pairs = [fields(turns[at : at + 2]) for at in range(0, len(turns), 2)]
        request = {name: value for name, value in pairs[-1].items() if name != "response"}
        instruction = system.content.partition("objective is: \n        ")[2]
        # Given in disorder: the adapter itself shows those that lack inputs first.
        demos = sorted(pairs[:-1], key=lambda demo: len(demo) < 5)
        wanted = ProgramAdapter().format(signature.with_instructions(instruction), demos, request)
        assert [{"role": t.role, "content": t.content} for t in (system, *turns[:-1])] == wanted
        lacking += len(request) < 4
    assert 100 < lacking < 300


def test_the_program_says_its_own_instruction_in_most_chats(chats: list[list[Turn]]) -> None:
    signature: Any = make_module().signature
    assert INSTRUCTIONS[0] == signature.instructions
    assert 0.7 < sum(chat[0].content.endswith(INSTRUCTIONS[0]) for chat in chats) / len(chats) < 0.9


def test_the_same_seed_draws_the_same_chat(lessons: Lessons) -> None:
    first, second = (lessons.chat(random.Random(3), 4) for _ in range(2))
    assert first == second


def test_no_more_demonstrations_than_allowed_are_shown(lessons: Lessons) -> None:
    rng = random.Random(4)
    shown = {most: [len(lessons.chat(rng, most)) // 2 - 1 for _ in range(300)] for most in (0, 1, 4, 8)}
    assert {most: max(counts) for most, counts in shown.items()} == {0: 0, 1: 1, 4: 4, 8: 8}
    assert 0.12 < shown[4].count(0) / 300 < 0.3


@pytest.mark.parametrize("number", range(len(FULL)))
def test_a_whole_reply_teaches_by_the_programs_score(drawn: list[Lesson], number: int) -> None:
    found = [scores(lesson, Manner(True, number)) for lesson in drawn]
    assert min(found) >= 0.8 and sum(found) / len(found) > 0.95


@pytest.mark.parametrize("number", range(len(SHORT)))
def test_a_short_reply_teaches_less(drawn: list[Lesson], number: int) -> None:
    found = [scores(lesson, Manner(False, number)) for lesson in drawn]
    assert 0.25 < sum(found) / len(found) < 0.7


def test_whole_replies_to_the_lessons_that_people_wrote_teach_as_theirs_do() -> None:
    for lesson in human_lessons():
        assert scores(lesson, Manner(True, 2), lesson.response) > 0.9
        assert scores(lesson, Manner(False, 0), lesson.response) < 0.9


def test_all_that_a_reply_says_of_the_lesson_is_copied(drawn: list[Lesson]) -> None:
    for lesson in drawn:
        said = lesson.said()
        assert said.query == lesson.query
        assert said.told == lesson.inputs.get("context", "")
        assert said.told.startswith(said.first) and bool(said.first) == bool(lesson.sentences)


def test_what_was_shown_in_one_manner_is_answered_in_it(chats: list[list[Turn]]) -> None:
    starts = [text for text in (frame.text.partition("{")[0] for frame in FULL) if text]
    followed = 0
    for chat in chats:
        if any("## context ## ]]" not in turn.content for turn in chat if turn.role == "user"):
            continue
        replies = [turn for turn in chat if turn.role == "assistant"]
        manners = [next((s for s in starts if f"]]\n{s}" in r.content), "") for r in replies]
        if len(replies) > 2 and replies[1].learned and all(manners):
            assert len(set(manners)) == 1
            followed += 1
    assert followed > 30


def test_the_last_reply_is_learned_and_the_first_demonstration_never(chats: list[list[Turn]]) -> None:
    for chat in chats:
        replies = [turn for turn in chat if turn.role == "assistant"]
        assert replies[-1].learned and (len(replies) == 1 or not replies[0].learned)


def test_without_demonstrations_most_replies_are_one_sentence_of_the_context(lessons: Lessons) -> None:
    rng = random.Random(6)
    asked = [fields(lessons.chat(rng, 0)[1:]) for _ in range(300)]
    told = [values for values in asked if "context" in values]
    assert 0.6 < sum(values["response"] in values["context"] for values in told) / len(told) < 0.85


def test_no_lesson_for_selecting_or_testing_is_ever_shown(chats: list[list[Turn]]) -> None:
    topics = (Path(__file__).parents[2] / "deploy" / "student" / "topics.txt").read_text()
    text = "\n".join([topics, *(turn.content for chat in chats for turn in chat)])
    for split in ("dev", "test"):
        for row in map(json.loads, (LESSONS / f"{split}.jsonl").read_text().splitlines()):
            sentences = row.get("context", "").removesuffix(".").split(". ")
            assert [
                said for said in (row["query"], row["response"], *sentences) if said and said in text
            ] == []
