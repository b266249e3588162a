from __future__ import annotations

import random
import re

import pytest

from deploy.student.corpus import Corpus, Level
from deploy.student.prompts import Turn
from programs.tasks.lexicon import share_of

QUESTION = re.compile(r"\[\[ ## (?:question|message) ## \]\]\n(.*?)(?:\n\nRespond|$)", re.DOTALL)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus()


@pytest.fixture(scope="module")
def chats(corpus: Corpus) -> list[list[Turn]]:
    rng = random.Random(1)
    return [corpus.chat(rng, Level(demonstrations=8)) for _ in range(400)]


def test_a_chat_starts_with_instructions_and_ends_with_a_learned_reply(chats: list[list[Turn]]) -> None:
    for turns in chats:
        roles = [turn.role for turn in turns]
        assert roles == ["system"] + ["user", "assistant"] * (len(turns) // 2)
        assert turns[-1].learned and "Respond with" in turns[-2].content


def test_the_same_seed_draws_the_same_chats(corpus: Corpus) -> None:
    first, second = (corpus.chat(random.Random(3), Level()) for _ in range(2))
    assert first == second


def test_no_story_or_message_of_a_split_is_ever_trained_on(chats: list[list[Turn]]) -> None:
    asked = [
        QUESTION.findall(t.content)[0]
        for turns in chats
        for t in turns
        if "context" not in t.content and t.role == "user"
    ]
    stories = [text for text in asked if " has " in text or text.startswith(("Hello", "Good morning"))]
    assert len(stories) > 300
    assert {share_of(text) for text in stories} == {"corpus"}


def test_every_equation_and_the_answer_after_it_is_right(chats: list[list[Turn]]) -> None:
    checked = 0
    for turn in (t for turns in chats for t in turns if t.role == "assistant"):
        steps = re.findall(r"(\d+) ([+x-]) (\d+) = (\d+)\.", turn.content)
        for left, sign, right, result in steps:
            a, b = int(left), int(right)
            assert int(result) == {"+": a + b, "-": a - b, "x": a * b}[sign]
            checked += 1
        if steps:
            assert f"## answer ## ]]\n{steps[-1][3]}\n" in turn.content
    assert checked > 300


def test_levels_grow_from_easy_to_everything() -> None:
    start, end = Level.at(0), Level.at(20_000_000)
    assert (start.events, start.follow_ups, start.long) == (1, False, 0.0)
    assert end.events == 4 and end.follow_ups and end.demonstrations == 8 and end.long > 0
