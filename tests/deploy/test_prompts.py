from __future__ import annotations

from typing import Any

import dspy

from deploy.student.prompts import Prompts, Turn
from programs.adapter import ProgramAdapter
from programs.program import Program
from programs.tasks import arithmetic, order_entry, passage_qa


def adapter_messages(
    program: Program, demos: list[dict[str, Any]], inputs: dict[str, Any]
) -> list[dict[str, Any]]:
    ((_, predictor),) = program.make_module().named_predictors()
    messages: list[dict[str, Any]] = ProgramAdapter().format(predictor.signature, demos, inputs)
    return messages


def as_messages(turns: list[Turn]) -> list[dict[str, Any]]:
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def test_a_plain_request_reads_as_the_adapter_writes_it() -> None:
    prompts = Prompts(order_entry.program.make_module())
    turns = [
        prompts.system(order_entry.INSTRUCTION),
        *prompts.turn({"message": "Hi"}, {"line": "x"}, asked=True),
    ]
    assert as_messages(turns[:-1]) == adapter_messages(order_entry.program, [], {"message": "Hi"})


def test_complete_and_incomplete_demonstrations_read_as_the_adapter_writes_them() -> None:
    prompts = Prompts(arithmetic.program.make_module())
    turns = [prompts.system(arithmetic.INSTRUCTION)]
    turns += prompts.incomplete({"question": "a"}, {"answer": "1"})
    turns += prompts.turn({"question": "b"}, {"reasoning": "r", "answer": "2"})
    turns += prompts.turn({"question": "c"}, {"reasoning": "", "answer": ""}, asked=True)
    demos = [{"question": "b", "reasoning": "r", "answer": 2}, {"question": "a", "answer": 1}]
    assert as_messages(turns[:-1]) == adapter_messages(arithmetic.program, demos, {"question": "c"})


def test_earlier_turns_read_as_the_adapter_writes_them() -> None:
    prompts = Prompts(passage_qa.program.make_module())
    past = prompts.turn({"question": "p"}, {"answer": "q"}, learned=False)
    turns = [prompts.system(passage_qa.INSTRUCTION), *past]
    turns += prompts.turn({"context": "c", "question": "d"}, {"answer": "e"})
    turns += [*past, *prompts.turn({"context": "f", "question": "g"}, {"answer": ""}, asked=True)]
    history = dspy.History(messages=[{"question": "p", "answer": "q"}])
    demo = {"context": "c", "history": history, "question": "d", "answer": "e"}
    inputs = {"context": "f", "history": history, "question": "g"}
    assert as_messages(turns[:-1]) == adapter_messages(passage_qa.program, [demo], inputs)


def test_only_complete_replies_are_learned() -> None:
    prompts = Prompts(arithmetic.program.make_module())
    assert not any(turn.learned for turn in prompts.incomplete({"question": "a"}, {"answer": "1"}))
    user, reply = prompts.turn({"question": "a"}, {"reasoning": "r", "answer": "1"})
    assert (user.learned, reply.learned) == (False, True)
