from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dspy
import pytest

from compiler.candidate import PLAIN
from compiler.errors import ModelUnusable, ProgramUnusable
from compiler.lowering import executor
from compiler.rehearsal import check_fit, fields_needed, rehearse, rehearse_demonstrations
from compiler.split import Parts
from engine.errors import ContextWindowExceeded
from programs.errors import DataInvalid
from programs.metrics import exact_match, token_f1, weighted_sum
from programs.plan import Field
from programs.program import Chat, Program
from tests.compiler.optimizers.test_bootstrap import bench
from tests.compiler.scripted import Adder, TwoSteps, chain, program, sums

PARTS = Parts(tuple(sums(3)), tuple(sums(3, 10)), tuple(sums(3, 20)))


def chatting(chat: Chat) -> Program:
    return Program("sums", chain, lambda _: [], lambda *_: 1.0, chat)


def test_rows_need_the_programs_inputs_and_its_answer() -> None:
    needed = fields_needed(chain(), program())
    assert [field.name for field in needed.inputs] == ["question"]
    assert needed.labels == [Field("answer")]


def test_rows_need_what_the_metric_compares_with(tmp_path: Path) -> None:
    metric = weighted_sum((exact_match("answer"), 1), (exact_match("reasoning"), 1), (token_f1("titles"), 1))
    assert fields_needed(chain(), program(metric=metric)).labels == [
        Field("answer"),
        Field("reasoning"),
        "titles",
    ]


def test_types_are_those_of_the_signature() -> None:
    needed = fields_needed(dspy.Predict("question, count: int -> answer: bool"), program(chain))
    assert needed.labels == [Field("answer", "bool")]
    assert [field.type for field in needed.inputs] == ["str", "int"]


def test_a_program_of_steps_needs_what_its_call_takes() -> None:
    needed = fields_needed(TwoSteps(), program(TwoSteps))
    assert [field.name for field in needed.inputs] == ["question"]


@pytest.mark.parametrize(
    ("chat", "told"),
    [
        (Chat("query", "answer"), "chat.user is 'query', its inputs are question"),
        (Chat("question", "answer", history="past"), "chat.history is 'past'"),
        (Chat("question", "reply"), "chat names output 'reply', its outputs are reasoning, answer"),
        (Chat("question", "answer", reasoning=("why",)), "chat names output 'why'"),
    ],
)
def test_a_chat_that_names_what_is_not_there_is_refused(chat: Chat, told: str) -> None:
    with pytest.raises(ProgramUnusable, match=told):
        check_fit(chain(), chatting(chat), PARTS)


def test_examples_without_an_input_are_told_with_their_number() -> None:
    lacking = dspy.Example(answer="1").with_inputs()
    with pytest.raises(DataInvalid, match="dev example 4: input 'question' is missing"):
        check_fit(chain(), program(), Parts(PARTS.train, (*PARTS.dev, lacking), PARTS.test))


def test_what_fits_passes() -> None:
    check_fit(chain(), program(), PARTS)
    check_fit(TwoSteps(), program(TwoSteps), PARTS)


async def test_a_few_rows_are_worked_out_and_shown_as_a_search_would(tmp_path: Path) -> None:
    adder = Adder()
    stand = bench(tmp_path, adder)
    plain = executor(stand.subject.module, stand.subject.program, PLAIN)
    seen = await rehearse(plain, stand.train, stand.student, stand.teacher)
    assert [answer.score for answer in seen.student] == [1.0, 0.0, 0.0, 1.0]
    rehearsed = await rehearse_demonstrations(stand, seen)
    # Labelled rows teach the adder nothing, worked ones everything.
    assert len(rehearsed.passed) == 4 and 0 < sum(rehearsed.passed) < 4
    assert [answer.score for answer in rehearsed.shown] == [1.0] * 4 and adder.calls == 12


def too_long_up_to(total: int) -> Callable[[int], None]:
    def spoil(asked: int) -> None:
        if asked <= total:
            raise ContextWindowExceeded("8192 tokens at most")

    return spoil


async def test_where_the_first_questions_are_too_long_the_shortest_of_the_others_are_asked(
    tmp_path: Path,
) -> None:
    adder = Adder(spoil=too_long_up_to(3))
    stand = bench(tmp_path, adder)
    plain = executor(stand.subject.module, stand.subject.program, PLAIN)
    seen = await rehearse(plain, stand.train, stand.student, stand.teacher)
    assert adder.calls == 7 and [answer.fault for answer in seen.student] == [None] * 4


async def test_questions_that_are_all_too_long_are_told_with_the_engines_words(tmp_path: Path) -> None:
    stand = bench(tmp_path, Adder(spoil=too_long_up_to(1_000)))
    plain = executor(stand.subject.module, stand.subject.program, PLAIN)
    with pytest.raises(ModelUnusable, match="answered none of 8 training questions: 8192 tokens at most"):
        await rehearse(plain, stand.train, stand.student, stand.teacher)
