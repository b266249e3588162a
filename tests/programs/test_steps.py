"""Tests for runs of DSPy modules: steps, tools, threads, limits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import dspy
import pytest

from engine.direct import DirectLM
from programs.errors import LimitExceeded, ProgramInvalid
from programs.execution import Outcome, RunFailed
from programs.interpreted import InterpretedExecutor
from programs.plan import Field
from programs.program import Chat, Program, RunLimits, Sampling
from programs.reader import FieldDelta
from tests.programs.scripted import ScriptedModel


def said(**fields: str) -> str:
    """A reply with these fields, as the adapter has them."""
    return "\n\n".join([*(f"[[ ## {name} ## ]]\n{text}" for name, text in fields.items())])


def called(tool: str, arguments: str = "{}") -> str:
    """What an agent says to call a tool."""
    return said(next_thought="I look.", next_tool_name=tool, next_tool_args=arguments)


ANSWERED = said(reasoning="It was found.", answer="forty two")


def executor(
    module: dspy.Module, limits: RunLimits | None = None, answered_by: tuple[str, ...] = ()
) -> InterpretedExecutor:
    program = Program(
        name="steps",
        make_module=lambda: module,
        examples=lambda split: [],
        metric=lambda example, prediction, trace=None: 1.0,
        chat=Chat(user="question", answer="answer"),
        sampling=Sampling(max_tokens=50),
        answered_by=answered_by,
    )
    return InterpretedExecutor(module, program, DirectLM, limits=limits)


async def ask(runs: InterpretedExecutor, *replies: str) -> Outcome:
    return await runs.run({"question": "What?"}, ScriptedModel(replies), {})


def agent(*tools: Callable[..., Any], most: int = 5) -> dspy.ReAct:
    return dspy.ReAct("question -> answer", tools=list(tools), max_iters=most)


async def test_a_blocking_tool_runs_in_a_thread_and_the_loop_goes_on() -> None:
    threads = []

    def look(word: str) -> str:
        threads.append(threading.current_thread())
        time.sleep(0.3)
        return f"{word}: found"

    async def tick() -> int:
        ticks = 0
        while not runs.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    replies = [called("look", '{"word": "moon"}'), called("finish"), ANSWERED]
    runs = asyncio.ensure_future(ask(executor(agent(look)), *replies))
    assert await tick() > 5
    assert (await runs).outputs["answer"] == "forty two"
    assert runs.result().outputs["trajectory"]["observation_0"] == "moon: found"
    assert threads[0] is not threading.current_thread()


async def test_an_asynchronous_tool_is_awaited_in_the_loop() -> None:
    threads = []

    async def look() -> str:
        threads.append(threading.current_thread())
        await asyncio.sleep(0)
        return "found"

    outcome = await ask(executor(agent(look)), called("look"), called("finish"), ANSWERED)
    assert outcome.outputs["trajectory"]["observation_0"] == "found"
    assert threads == [threading.current_thread()]


async def test_a_tool_that_fails_is_an_observation() -> None:
    def look() -> str:
        raise LookupError("nothing there")

    outcome = await ask(executor(agent(look)), called("look"), called("finish"), ANSWERED)
    assert "nothing there" in outcome.outputs["trajectory"]["observation_0"]


def test_tools_are_called_as_ever_where_no_loop_runs() -> None:
    module = agent(lambda: "found")
    executor(module)
    executor(module)
    assert [tool() for tool in module.tools.values()] == ["found", "Completed."]


class OnlyForward(dspy.Module):
    """Two steps and no aforward; remembers its threads."""

    def __init__(self) -> None:
        super().__init__()
        self.first = dspy.Predict("question -> guess")
        self.second = dspy.Predict("question, guess -> answer")
        self.threads: list[int] = []

    def forward(self, question: str) -> dspy.Prediction:
        self.threads.append(threading.get_ident())
        guess = self.first(question=question).guess
        return dspy.Prediction(answer=self.second(question=question, guess=guess).answer)


async def test_a_module_with_only_forward_runs_in_a_thread() -> None:
    module = OnlyForward()
    model = ScriptedModel([said(guess="six"), said(answer="seven")])
    outcome = await executor(module).run({"question": "What?"}, model, {"temperature": 0.5})
    assert outcome.outputs == {"answer": "seven"}
    assert len(outcome.steps) == 2 and model.params[1] == {"temperature": 0.5, "max_tokens": 50}
    assert module.threads == []  # a copy of it ran


async def test_threads_of_many_runs_ask_their_own_models() -> None:
    runs = executor(OnlyForward())
    outcomes = await asyncio.gather(
        *(ask(runs, said(guess="g"), said(answer=str(number))) for number in range(20))
    )
    assert [outcome.outputs["answer"] for outcome in outcomes] == [str(number) for number in range(20)]


async def test_the_best_of_several_is_found_again_and_again() -> None:
    best = dspy.BestOfN(dspy.Predict("question -> answer"), 2, lambda inputs, it: float(len(it.answer)), 9.0)
    runs = executor(best)
    assert list(runs.inputs) == [Field("question")]
    for _ in range(4):
        outcome = await ask(runs, said(answer="short"), said(answer="long enough"))
        assert outcome.outputs == {"answer": "long enough"}


async def test_a_synchronous_call_in_the_loop_is_refused_in_words() -> None:
    class Mistaken(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answer = dspy.Predict("question -> answer")

        async def aforward(self, question: str) -> Any:
            return self.answer(question=question)

    with pytest.raises(Exception, match="await the module's acall instead"):
        await ask(executor(Mistaken()), ANSWERED)


class Endless(dspy.Module):
    """Asks until it is stopped; `patient` it gets over every error."""

    def __init__(self, patient: bool = False) -> None:
        super().__init__()
        self.answer = dspy.Predict("question -> answer")
        self.patient = patient

    async def aforward(self, question: str) -> dspy.Prediction:
        for _ in range(100):
            try:
                await self.answer.acall(question=question)
            except Exception:
                if not self.patient:
                    raise
        return dspy.Prediction(answer="in the end")


@pytest.mark.parametrize("module", [Endless(), Endless(patient=True), agent(lambda: "x", most=90)])
async def test_steps_end_where_they_must_whatever_the_module_does(module: dspy.Module) -> None:
    replies = [called("<lambda>"), ANSWERED] if isinstance(module, dspy.ReAct) else [said(answer="a")]
    model = ScriptedModel(replies[:1])
    with pytest.raises(LimitExceeded, match="asked its model more than 7 times") as caught:
        await executor(module, RunLimits(steps=7)).run({"question": "What?"}, model, {})
    assert len(caught.value.steps) == len(model.asked) == 7


async def test_a_tool_that_hangs_ends_its_own_run_and_no_other() -> None:
    released, left = threading.Event(), threading.Event()

    def hang() -> str:
        released.wait(30)
        left.set()
        return "late"

    runs = executor(agent(hang), RunLimits(seconds=0.5))
    hung = [asyncio.ensure_future(ask(runs, called("hang"))) for _ in range(40)]
    assert (await ask(runs, called("finish"), ANSWERED)).outputs["answer"] == "forty two"
    for run in hung:
        with pytest.raises(LimitExceeded, match=r"longer than 0\.5 seconds") as caught:
            await run
        assert len(caught.value.steps) == 1
    assert not left.is_set()
    released.set()


async def test_what_a_run_left_behind_asks_no_model() -> None:
    class Careless(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answer = dspy.Predict("question -> answer")
            self.left: list[asyncio.Task[Any]] = []

        async def aforward(self, question: str) -> dspy.Prediction:
            self.left.append(asyncio.ensure_future(self._later(question)))
            return await self.answer.acall(question=question)

        async def _later(self, question: str) -> None:
            await asyncio.sleep(0.2)
            await self.answer.acall(question=question)

    module, model = Careless(), ScriptedModel(ANSWERED)
    await executor(module).run({"question": "What?"}, model, {})
    with pytest.raises(LimitExceeded, match="its run is over"):
        await module.left[0]
    assert len(model.asked) == 1


def test_a_limit_of_the_operator_counts_where_it_is_lower() -> None:
    assert RunLimits(10, 5.0).within(3, None) == RunLimits(3, 5.0)
    assert RunLimits(10, 5.0).within(30, 2.0) == RunLimits(10, 2.0)
    with pytest.raises(ProgramInvalid, match="a step at least"):
        replace(PROGRAM, limits=RunLimits(steps=0))


async def streamed(runs: InterpretedExecutor, replies: Sequence[str]) -> list[FieldDelta | Outcome]:
    return [piece async for piece in runs.stream({"question": "What?"}, ScriptedModel(replies), {})]


def texts(pieces: Sequence[FieldDelta | Outcome]) -> list[str]:
    return [piece.text for piece in pieces if isinstance(piece, FieldDelta)]


async def test_an_agents_answer_is_streamed_by_the_step_that_writes_it() -> None:
    pieces = await streamed(executor(agent(lambda: "x")), [called("finish"), ANSWERED])
    assert "".join(texts(pieces)) == "forty two" and len(texts(pieces)) > 1
    assert isinstance(pieces[-1], Outcome) and len(pieces[-1].steps) == 2


class Guesses(dspy.Module):
    """Ends early where the first step is sure; both steps write `answer`."""

    def __init__(self) -> None:
        super().__init__()
        self.guess = dspy.Predict("question -> answer, sure: bool")
        self.work_out = dspy.Predict("question, guess -> answer")

    async def aforward(self, question: str) -> dspy.Prediction:
        guess = await self.guess.acall(question=question)
        return guess if guess.sure else await self.work_out.acall(question=question, guess=guess.answer)


@pytest.mark.parametrize("sure", ["True", "False"])
async def test_of_several_steps_that_write_the_answer_only_the_one_that_counts_is_seen(sure: str) -> None:
    runs = executor(Guesses(), answered_by=("work_out",))
    pieces = await streamed(runs, [said(answer="a first guess", sure=sure), said(answer="a second thought")])
    final = "a first guess" if sure == "True" else "a second thought"
    assert "".join(texts(pieces)) == final
    assert (len(texts(pieces)) == 1) is (sure == "True")


async def test_undeclared_steps_are_shown_when_the_run_is_over() -> None:
    pieces = await streamed(executor(Guesses()), [said(answer="a guess", sure="True")])
    assert texts(pieces) == ["a guess"]


async def test_an_answer_that_is_not_what_was_shown_fails() -> None:
    runs = executor(Guesses(), answered_by=("guess",))
    with pytest.raises(RunFailed, match="`answered_by` may only name"):
        await streamed(runs, [said(answer="a guess", sure="False"), said(answer="another")])


def test_a_predictor_that_is_not_there_is_named() -> None:
    with pytest.raises(ProgramInvalid, match="its predictors are guess, work_out"):
        executor(Guesses(), answered_by=("nobody",))


async def test_a_reader_who_leaves_ends_the_run() -> None:
    ended = asyncio.Event()

    class Slow(ScriptedModel):
        async def stream(self, messages: Any, params: Any) -> Any:
            try:
                async for delta in super().stream(messages, params):
                    yield delta
                    await asyncio.sleep(0.05)
            finally:
                ended.set()

    pieces = executor(agent(lambda: "x")).stream({"question": "?"}, Slow([called("finish"), ANSWERED]), {})
    await anext(pieces)
    await pieces.aclose()
    await asyncio.wait_for(ended.wait(), 5)


PROGRAM = Program(
    name="typed",
    make_module=OnlyForward,
    examples=lambda split: [],
    metric=lambda example, prediction, trace=None: 1.0,
    chat=Chat(user="question", answer="answer"),
)


def test_the_outputs_have_the_types_that_their_predictors_declare() -> None:
    assert list(executor(Guesses()).outputs) == [Field("answer")]
