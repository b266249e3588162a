from __future__ import annotations

import random
import re

import pytest

from deploy.student.prompts import Turn
from deploy.student.stories import Stories
from programs.adapter import ProgramAdapter
from programs.tasks import gsm8k
from programs.tasks.arithmetic import DIRECT
from programs.tasks.lexicon import share_of

FIELD = re.compile(r"\[\[ ## (\w+) ## \]\]\n(.*?)(?=\n\n\[\[|\n\nRespond|$)", re.DOTALL)
NOT_SUPPLIED = "Not supplied for this particular example. "
SUM = re.compile(r"([\d,]+) ([-+x/]) ([\d,]+) = ([\d,]+)")


@pytest.fixture(scope="module")
def chats() -> list[list[Turn]]:
    stories, rng = Stories(), random.Random(1)
    return [stories.chat(rng, 4) for _ in range(500)]


def fields(turn: Turn) -> dict[str, str]:
    return dict(FIELD.findall(turn.content))


def replies(turns: list[Turn]) -> list[str]:
    """What stands as reasoning in every reply of the chat."""
    return [fields(turn)["reasoning"] for turn in turns if turn.role == "assistant"]


def test_a_chat_reads_as_the_adapter_writes_it(chats: list[list[Turn]]) -> None:
    ((_, predictor),) = gsm8k.make_module().named_predictors()
    for system, *turns in chats[:60]:
        instruction = system.content.rpartition("objective is: ")[2].strip()
        *demos, asked = [
            {**fields(user), **fields(reply)} for user, reply in zip(turns[::2], turns[1::2], strict=True)
        ]
        shown = [{k: v for k, v in demo.items() if v not in ("", NOT_SUPPLIED)} for demo in demos]
        signature = predictor.signature.with_instructions(instruction)
        wanted = ProgramAdapter().format(signature, shown, {"question": asked["question"]})
        assert [{"role": t.role, "content": t.content} for t in (system, *turns[:-1])] == wanted


def test_a_chat_ends_with_the_request_and_a_learned_reply(chats: list[list[Turn]]) -> None:
    for turns in chats:
        assert "Respond with" in turns[-2].content and turns[-1].learned
        assert len(turns) <= 2 * 5 + 1
    assert {len(turns) for turns in chats} == {3, 5, 7, 9, 11}


def test_the_same_seed_draws_the_same_chat() -> None:
    stories = Stories()
    assert stories.chat(random.Random(3), 4) == stories.chat(random.Random(3), 4)


def test_no_problem_of_a_split_is_ever_trained_on(chats: list[list[Turn]]) -> None:
    asked = {fields(turn)["question"] for turns in chats for turn in turns if turn.role == "user"}
    assert len(asked) > 1000 and {share_of(question) for question in asked} == {"corpus"}


def test_every_sum_and_the_answer_after_it_is_right(chats: list[list[Turn]]) -> None:
    checked = 0
    for turn in (turn for turns in chats for turn in turns if turn.role == "assistant"):
        told = fields(turn)
        for left, sign, right, result in SUM.findall(told["reasoning"].replace(",", "")):
            a, b = int(left), int(right)
            assert int(result) == {"+": a + b, "-": a - b, "x": a * b, "/": a / b}[sign]
            checked += 1
        if told["reasoning"] not in (DIRECT, NOT_SUPPLIED):
            assert told["answer"] == SUM.findall(told["reasoning"])[-1][3].replace(",", "")
    assert checked > 1000


def test_unprompted_only_short_problems_are_mostly_worked_out(chats: list[list[Turn]]) -> None:
    own = [turns for turns in chats if len(turns) == 3 and "Solve the problem" in turns[0].content]
    drawn = [Stories().chat(random.Random(seed), 0) for seed in range(600)]
    own += [turns for turns in drawn if "Solve the problem" in turns[0].content]
    steps = [len(SUM.findall(reply)) for turns in own for reply in replies(turns)]
    share_worked = sum(map(bool, steps)) / len(steps)
    assert 0.25 < share_worked < 0.55 and steps.count(2) > steps.count(3) > 0


def test_where_demonstrations_show_one_form_the_reply_takes_it(chats: list[list[Turn]]) -> None:
    followed = 0
    for turns in chats:
        *shown, reply = replies(turns)
        worked = [text for text in shown if text not in (DIRECT, NOT_SUPPLIED)]
        lines = {"\n" in text for text in worked}
        if len(worked) == len(shown) > 0 and len(lines) == 1:
            assert reply != DIRECT and ("\n" in reply) == lines.pop()
            followed += 1
    assert followed > 100


def test_a_form_that_nothing_foretells_is_not_learned(chats: list[list[Turn]]) -> None:
    own = [turns for turns in chats if "Solve the problem step by step." in turns[0].content]
    first = [turns[2] for turns in own if len(turns) > 3]
    assert first and not any(turn.learned for turn in first)
    assert all(any(turn.learned for turn in turns) for turns in own)
