from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import dspy
import pytest

from engine.lm import make_lm
from programs.checks import Check, is_one_of, matches, must_mention, satisfies
from programs.errors import CheckFailed, ReleaseInvalid
from programs.execution import Outcome, RunFailed
from programs.interpreted import InterpretedExecutor
from programs.module_state import dump_state, load_state, signature_fingerprint
from programs.program import Chat, Program, Sampling
from tests.programs.scripted import ScriptedModel

REPLY = "[[ ## reasoning ## ]]\nthink\n\n[[ ## answer ## ]]\n4\n\n[[ ## completed ## ]]"


class TwoSteps(dspy.Module):
    """Asks, then asks again with the first answer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = dspy.ChainOfThought("question -> answer: int")
        self.second = dspy.ChainOfThought("question, history: dspy.History, guess: int -> answer: int")

    async def aforward(self, question: str, history: dspy.History) -> dspy.Prediction:
        guess = await self.first.acall(question=question)
        return await self.second.acall(question=question, history=history, guess=guess.answer)


PROGRAM = Program(
    name="two_steps",
    make_module=TwoSteps,
    examples=lambda split: [],
    metric=lambda example, prediction, trace=None: 1.0,
    chat=Chat(user="question", answer="answer", history="history", reasoning=("reasoning",)),
    sampling=Sampling(max_tokens=20),
)


PREDICTORS = ("first.predict", "second.predict")


def run(model: ScriptedModel, **inputs: Any) -> Outcome:
    executor = InterpretedExecutor(TwoSteps(), PROGRAM, make_lm)
    return asyncio.run(executor.run({"question": "2+2?", **inputs}, model, {}))


def test_every_call_of_the_module_is_a_step_with_the_programs_sampling() -> None:
    model = ScriptedModel(REPLY)
    outcome = run(model)
    assert outcome.outputs == {"reasoning": "think", "answer": 4}
    assert len(outcome.steps) == len(model.asked) == 2
    assert all(params["max_tokens"] == 20 and params["temperature"] == 0.0 for params in model.params)


def test_earlier_turns_reach_the_predictor_that_takes_them() -> None:
    model = ScriptedModel(REPLY)
    run(model, history=[{"question": "1+1?", "answer": 2}])
    assert [m["role"] for m in model.asked[1]] == ["system", "user", "assistant", "user"]


def test_an_unreadable_reply_fails_with_the_steps_that_were_paid_for() -> None:
    with pytest.raises(RunFailed) as caught:
        run(ScriptedModel("four"))
    assert [step.text for step in caught.value.steps] == ["four"]


def test_concurrent_runs_do_not_mix() -> None:
    executor = InterpretedExecutor(TwoSteps(), PROGRAM, make_lm)
    replies = [REPLY.replace("4", str(n)) for n in range(20)]

    async def all_at_once() -> list[Outcome]:
        runs = (executor.run({"question": "q"}, ScriptedModel(reply), {}) for reply in replies)
        return list(await asyncio.gather(*runs))

    assert [o.outputs["answer"] for o in asyncio.run(all_at_once())] == list(range(20))


REASONED = REPLY.replace("think", "4, because two and two")


def checked(*checks: Check, retries: int = 2, trace: list[Any] | None = None) -> InterpretedExecutor:
    program = replace(PROGRAM, checks=checks, check_retries=retries)
    return InterpretedExecutor(TwoSteps(), program, make_lm, trace)


def ask(executor: InterpretedExecutor, model: ScriptedModel) -> Outcome:
    return asyncio.run(executor.run({"question": "2+2?"}, model, {}))


@pytest.mark.parametrize(
    "check",
    [
        must_mention("reasoning", "because"),
        matches("reasoning", ".*because.*"),
        is_one_of("reasoning", "4, because two and two"),
        satisfies("gives a reason", lambda inputs, outputs: "because" in outputs["reasoning"]),
    ],
)
def test_a_module_runs_again_with_the_reason_told_to_the_predictor_that_wrote_the_answer(
    check: Check,
) -> None:
    outcome = ask(checked(check), model := ScriptedModel([REPLY, REPLY, REPLY, REASONED]))
    assert (outcome.outputs["reasoning"], outcome.attempts) == ("4, because two and two", 2)
    assert len(outcome.steps) == 4
    first, second, first_again, second_again = model.asked
    assert first_again == first and second_again[: len(second)] == second
    said, again = second_again[len(second) :]
    assert (said["role"], again["role"]) == ("assistant", "user")
    assert "[[ ## reasoning ## ]]\nthink" in said["content"]
    assert (check.problem({}, {"reasoning": "think"}) or "?") in again["content"]
    assert "`[[ ## answer ## ]]`" in again["content"]


def test_a_module_that_never_passes_fails_with_all_its_steps() -> None:
    with pytest.raises(CheckFailed, match="must mention 'because'") as caught:
        ask(checked(must_mention("reasoning", "because"), retries=1), model := ScriptedModel(REPLY))
    assert len(caught.value.steps) == len(model.asked) == 4
    assert caught.value.outputs == {"reasoning": "think", "answer": 4}


def test_a_trace_holds_the_calls_of_the_answer_that_passed() -> None:
    trace: list[Any] = []
    executor = checked(must_mention("reasoning", "because"), trace=trace)
    ask(executor, ScriptedModel([REPLY, REPLY, REPLY, REASONED]))
    assert [prediction.reasoning for _, _, prediction in trace] == ["think", "4, because two and two"]


def test_the_reason_goes_to_the_predictor_that_wrote_the_output_not_to_a_later_one() -> None:
    class AnswerThenTitle(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answer = dspy.Predict("question -> answer")
            self.title = dspy.Predict("answer -> title")

        async def aforward(self, question: str, history: dspy.History) -> dspy.Prediction:
            found = await self.answer.acall(question=question)
            named = await self.title.acall(answer=found.answer)
            return dspy.Prediction(answer=found.answer, title=named.title)

    program = replace(PROGRAM, checks=(matches("answer", "four"),))
    replies = [f"[[ ## {name} ## ]]\n{text}" for name, text in (
        ("answer", "4"), ("title", "A sum"), ("answer", "four"), ("title", "A sum"),
    )]  # fmt: skip
    outcome = ask(InterpretedExecutor(AnswerThenTitle(), program, make_lm), model := ScriptedModel(replies))
    assert outcome.outputs == {"answer": "four", "title": "A sum"}
    assert ["can't be accepted" in messages[-1]["content"] for messages in model.asked] == [0, 0, 1, 0]


def test_a_module_that_asks_no_model_is_not_run_again() -> None:
    class Constant(dspy.Module):
        async def aforward(self, question: str, history: dspy.History) -> dspy.Prediction:
            return dspy.Prediction(reasoning="always", answer=4)

    program = replace(PROGRAM, checks=(must_mention("reasoning", "because"),))
    with pytest.raises(CheckFailed) as caught:
        ask(InterpretedExecutor(Constant(), program, make_lm), ScriptedModel(REPLY))
    assert caught.value.steps == ()


def test_a_state_survives_json_and_holds_nothing_but_instructions_and_demonstrations() -> None:
    module = TwoSteps()
    past = dspy.History(messages=[{"question": "a", "answer": 1}])
    module.second.predict.demos = [dspy.Example(question="q", history=past, guess=1, reasoning="r", answer=2)]
    state = json.loads(json.dumps(dump_state(module)))
    assert {frozenset(part) for part in state.values()} == {frozenset({"instructions", "demos"})}
    revived = load_state(TwoSteps(), state)
    assert dump_state(revived) == state
    assert revived.second.predict.demos[0].history == past


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"first.predict": {"instructions": "x", "demos": []}},
        {name: {"instructions": "x", "demos": [], "forward": 1} for name in PREDICTORS},
        {name: {"instructions": 1, "demos": []} for name in PREDICTORS},
    ],
)
def test_a_state_of_another_shape_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(ReleaseInvalid, match=r"state\.json"):
        load_state(TwoSteps(), state)


def test_the_fingerprint_tells_a_changed_field_and_nothing_else() -> None:
    class Renamed(TwoSteps):
        def __init__(self) -> None:
            super().__init__()
            self.first = dspy.ChainOfThought("question -> result: int")

    same = TwoSteps()
    same.first.predict.demos = [dspy.Example(question="q", answer=1)]
    assert signature_fingerprint(same) == signature_fingerprint(TwoSteps())
    assert signature_fingerprint(Renamed()) != signature_fingerprint(TwoSteps())
