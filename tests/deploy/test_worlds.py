from __future__ import annotations

import random
import re
from typing import Any

import pytest

from deploy.student.prompts import Turn
from deploy.student.world_cases import Case, draw
from deploy.student.world_facts import World
from deploy.student.world_phrases import KINDS
from deploy.student.worlds import Worlds
from programs.adapter import ProgramAdapter
from programs.retrieval import HttpRetriever, read_corpus
from programs.tasks import hotpotqa
from programs.tasks.hotpotqa_retrieval import two_hops
from programs.tasks.hotpotqa_rows import SAMPLE, sample_questions
from programs.titles import parted

FIELD = re.compile(r"\[\[ ## (\w+) ## \]\]\n(.*?)(?=\n\n|$)", re.DOTALL)


@pytest.fixture(scope="module")
def worlds() -> Worlds:
    return Worlds()


@pytest.fixture(scope="module")
def chats(worlds: Worlds) -> list[list[Turn]]:
    rng = random.Random(1)
    return [worlds.chat(rng, 4) for _ in range(1000)]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    rng = random.Random(2)
    return [draw(rng, (), 5) for _ in range(1500)]


def fields(turn: Turn) -> dict[str, str]:
    return dict(FIELD.findall(turn.content))


def pairs(turns: list[Turn]) -> list[dict[str, str]]:
    """Each reply's fields with those of the turn that it answers."""
    return [fields(user) | fields(reply) for user, reply in zip(turns[1::2], turns[2::2], strict=True)]


def test_a_chat_is_as_the_adapter_writes_it(chats: list[list[Turn]]) -> None:
    predictors = dict(two_hops(HttpRetriever("http://127.0.0.1:9/")).named_predictors())
    signatures: list[Any] = [
        hotpotqa.make_module().signature,
        *(one.signature for one in predictors.values()),
    ]
    for turns in chats[:60]:
        *demos, asked = pairs(turns)
        (signature,) = [one for one in signatures if {*asked} == {*one.fields, "completed"}]
        instructed = signature.with_instructions(turns[0].content.split("objective is: \n        ")[1])
        inputs = {name: asked[name] for name in signature.input_fields}
        written = ProgramAdapter().format(instructed, demos, inputs)
        assert written == [{"role": turn.role, "content": turn.content} for turn in turns[:-1]]


def test_the_answer_stands_in_the_two_paragraphs_that_are_named(cases: list[Case]) -> None:
    for case in cases:
        first, second = case.supporting
        assert case.answer in ("yes", "no") or case.answer in f"{first.text} {second.text}"
        assert case.told in case.supporting


def test_a_question_names_the_first_thing_and_the_first_paragraph_leads_to_the_second(
    cases: list[Case],
) -> None:
    for case in (case for case in cases if case.bridge):
        start, end = case.supporting
        shared = {thing.name for thing in start.links.values()} & {one.name for one in end.links.values()}
        assert end.name in start.text or start.name in end.text or any(name in start.text for name in shared)
        assert end.name not in case.question


def test_the_titles_of_a_reply_are_paragraphs_of_its_context(chats: list[list[Turn]]) -> None:
    seen = 0
    for pair in (pair for turns in chats for pair in pairs(turns) if "titles" in pair):
        titles = [line.partition(" | ")[0] for line in pair["context"].splitlines()]
        assert {*parted(pair["titles"])} <= {*titles}
        assert len({*titles}) == len(titles)
        seen += 1
    assert seen > 1000


def test_comparisons_are_right(cases: list[Case]) -> None:
    asked = [
        case for case in cases if case.question.startswith(("Who was born earlier", "Who was born first"))
    ]
    for case in asked:
        earlier = min(case.supporting, key=lambda thing: int(thing.facts["born"]))
        assert case.answer == earlier.name
    same = [case for case in cases if "born in the same town" in case.question]
    for case in same:
        first, second = (thing.facts["town"] for thing in case.supporting)
        assert case.answer == ("yes" if first == second else "no")
    assert len(asked) > 3 and len(same) > 3


def test_the_same_state_draws_the_same_chat(worlds: Worlds) -> None:
    first, second = (worlds.chat(random.Random(3), 4) for _ in range(2))
    assert first == second


def test_no_demonstrations_where_none_are_wanted(worlds: Worlds) -> None:
    rng = random.Random(4)
    assert {len(worlds.chat(rng, 0)) for _ in range(50)} == {3}


def test_nothing_of_the_sample_is_trained_on(chats: list[list[Turn]]) -> None:
    titles = {passage.title for passage in read_corpus(SAMPLE / "corpus.jsonl")}
    questions = {question.text for split in ("train", "dev", "test") for question in sample_questions(split)}
    for pair in (pair for turns in chats for pair in pairs(turns)):
        told = pair.get("context", pair.get("found", "")).splitlines()
        assert not titles & {line.partition(" | ")[0] for line in told}
        assert pair["question"] not in questions


def test_a_reply_follows_the_form_that_demonstrations_show(chats: list[list[Turn]]) -> None:
    plain, followed = 0, 0
    for *demos, asked in map(pairs, chats):
        sentences = {pair["answer"].startswith("The answer is") for pair in demos if "answer" in pair}
        if len(sentences) == 1:
            assert asked["answer"].startswith("The answer is") in sentences
            followed += 1
        plain += not demos and asked.get("answer", "").startswith("The answer is")
    assert plain > 20 and followed > 300


def test_every_kind_can_be_told(worlds: Worlds) -> None:
    rng = random.Random(5)
    for kind in KINDS:
        for _ in range(30):
            thing = (world := World(rng)).tell(world.thing(kind))
            assert thing.name in thing.text and thing.text.count(". ") == 1 and "{" not in thing.text


def test_a_query_can_be_read_off_what_is_found_and_asked(chats: list[list[Turn]]) -> None:
    queries = [pair for turns in chats for pair in pairs(turns) if "query" in pair]
    told = [pair["query"] in f"{pair['found']} {pair['question']}" for pair in queries]
    assert len(told) > 300 and sum(told) > 0.9 * len(told)
