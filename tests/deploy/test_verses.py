from __future__ import annotations

import random
from typing import Any

import dspy

from compiler.scripture_rows import share_of
from deploy.student.prompts import Turn
from deploy.student.verses import NO_VERSE, Verses
from programs.adapter import ProgramAdapter
from programs.references import read_references
from programs.scripture import SAMPLE, open_tables, read_ids
from programs.tasks import scripture_qa

VERSES = Verses()
CHATS = [VERSES.chat(random.Random(seed), 4) for seed in range(300)]
EARLIER = {"question": "Who spoke in Genesis 1:3?", "answer": "H0430 elohim"}


def adapter_messages(demos: list[dict[str, Any]], inputs: dict[str, Any]) -> list[dict[str, Any]]:
    ((_, predictor),) = scripture_qa.make_module().named_predictors()
    messages: list[dict[str, Any]] = ProgramAdapter().format(predictor.signature, demos, inputs)
    return messages


def as_messages(turns: list[Turn]) -> list[dict[str, Any]]:
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def test_demonstrations_and_earlier_turns_read_as_the_adapter_writes_them() -> None:
    prompts = VERSES.prompts
    past = prompts.turn({"question": EARLIER["question"]}, {"answer": EARLIER["answer"]}, learned=False)
    turns = [prompts.system(scripture_qa.INSTRUCTION)]
    turns += prompts.turn({"context": "c", "question": "a"}, {"reasoning": "r", "answer": "1"})
    turns += [*past, *prompts.turn({"context": "d", "question": "b"}, {"reasoning": "s", "answer": "2"})]
    turns += [*past, *prompts.turn({"context": "e", "question": "f"}, {"answer": ""}, asked=True)]
    history = dspy.History(messages=[EARLIER])
    demos: list[dict[str, Any]] = [
        {
            "context": "c",
            "history": dspy.History(messages=[]),
            "question": "a",
            "reasoning": "r",
            "answer": "1",
        },
        {"context": "d", "history": history, "question": "b", "reasoning": "s", "answer": "2"},
    ]
    inputs = {"context": "e", "history": history, "question": "f"}
    assert as_messages(turns[:-1]) == adapter_messages(demos, inputs)


def test_a_question_without_verses_reads_as_the_adapter_writes_it() -> None:
    prompts = VERSES.prompts
    turns = [prompts.system(scripture_qa.INSTRUCTION)]
    turns += prompts.turn({"context": "", "question": "q"}, {"answer": ""}, asked=True)
    inputs = {"context": "", "history": dspy.History(messages=[]), "question": "q"}
    assert as_messages(turns[:-1]) == adapter_messages([], inputs)


def test_the_same_seed_gives_the_same_chat() -> None:
    assert [VERSES.chat(random.Random(seed), 4) for seed in range(20)] == CHATS[:20]
    assert Verses().chat(random.Random(5), 4) == CHATS[5]


def test_no_verse_of_another_share_is_shown() -> None:
    kept = {verse.ref: verse.text for verse in open_tables(SAMPLE) if share_of(verse.ref) != "train"}
    text = "\n".join(turn.content for chat in CHATS for turn in chat)
    assert not kept.keys() & {str(one) for one in read_references(text)}
    assert not any(verse in text for verse in kept.values())


def test_every_id_of_a_reply_is_listed_before_it() -> None:
    for chat in CHATS:
        before = ""
        for turn in chat:
            if turn.learned:
                assert set(read_ids(turn.content)) <= set(read_ids(before))
            before += turn.content


def test_a_demonstration_names_a_word_by_its_id_and_a_reply_without_one_mostly_by_the_word_alone() -> None:
    asked = [chat for chat in CHATS if "which Strong's number lies behind" in chat[-2].content]
    prompted = [chat[-1].content for chat in asked if len(chat) > 3]
    alone = [chat[-1].content for chat in asked if len(chat) == 3]
    assert prompted and all(read_ids(reply.partition("answer ## ]]")[2]) for reply in prompted)
    assert sum(not read_ids(reply.partition("answer ## ]]")[2]) for reply in alone) > 0


def test_a_question_without_a_verse_is_told_so() -> None:
    told = [chat[-1].content for chat in CHATS if "[[ ## context ## ]]\n\n" in chat[-2].content]
    assert told and all(f"[[ ## answer ## ]]\n{NO_VERSE}\n" in reply for reply in told)
