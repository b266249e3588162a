"""DSPy on our engine pair: the same messages, the same replies, our errors behind its own."""

from __future__ import annotations

import asyncio
import copy
import re
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import dspy
import pytest
from dspy.utils import exceptions as dspy_errors

from engine.chat import Delta, Reply, Usage
from engine.client import EngineClient
from engine.errors import (
    ContextWindowExceeded,
    EngineError,
    EngineRateLimited,
    EngineTimeout,
    EngineUnreachable,
)
from engine.lm import engine_error_behind, make_lm
from engine.pair import TO_DSPY
from tests.engine.scripted_server import completion, never, replying, serving

ANSWER = "[[ ## answer ## ]]\nfour\n\n[[ ## completed ## ]]"


class ScriptedModel:
    """A model that always gives one reply, in pieces when streamed, and keeps what it was asked."""

    def __init__(self, text: str = ANSWER, reasoning: str = "", error: EngineError | None = None) -> None:
        self.reply = Reply(text, reasoning, "stop", Usage(12, 3, 8), "scripted")
        self.error = error
        self.asked: list[tuple[list[object], dict[str, object]]] = []
        self.threads: set[int] = set()
        self.closed_in: list[int] = []

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        self.asked.append((list(messages), dict(params)))
        self.threads.add(threading.get_ident())
        if self.error is not None:
            raise self.error
        return self.reply

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Delta, None]:
        self.asked.append((list(messages), dict(params)))
        if self.reply.reasoning:
            yield Delta(reasoning=self.reply.reasoning)
        for piece in re.findall(r"\s*\S+\s*", self.reply.text):
            yield Delta(piece)
        yield Delta(finish_reason="stop")
        yield Delta(usage=self.reply.usage)

    async def close(self) -> None:
        self.closed_in.append(threading.get_ident())


class Question(dspy.Signature):
    """Answer."""

    question: str = dspy.InputField()
    answer: str = dspy.OutputField()


async def test_an_asynchronous_call_sends_the_adapters_messages_unchanged() -> None:
    model = ScriptedModel()
    demo = dspy.Example(question="1 + 1?", answer="two")
    predict = dspy.Predict(Question)
    predict.demos = [demo]
    with dspy.context(lm=make_lm(model, "tiny", {"temperature": 0.0, "max_tokens": 64})):
        prediction = await predict.acall(question="2 + 2?\n")
    expected = dspy.ChatAdapter().format(Question, [demo], {"question": "2 + 2?\n"})
    assert prediction.answer == "four"
    assert model.asked == [(expected, {"temperature": 0.0, "max_tokens": 64})]


def test_synchronous_calls_share_one_thread_of_their_own() -> None:
    model = ScriptedModel()
    lm = make_lm(model, "tiny", {})
    with dspy.context(lm=lm):
        for _ in range(3):
            assert dspy.Predict(Question)(question="2 + 2?").answer == "four"
    lm.engine.close()
    assert len(model.threads) == 1 and threading.get_ident() not in model.threads
    assert model.closed_in == list(model.threads)
    assert "engine-calls" not in {thread.name for thread in threading.enumerate()}


def test_closing_an_unused_pair_is_quiet_and_it_serves_again_afterwards() -> None:
    lm = make_lm(ScriptedModel(), "tiny", {})
    lm.engine.close()
    with dspy.context(lm=lm):
        assert dspy.Predict(Question)(question="2 + 2?").answer == "four"
    lm.engine.close()


async def test_parameters_unknown_to_dspy_go_with_every_call() -> None:
    model = ScriptedModel()
    grammar = {"regex": "[0-9]+"}
    with dspy.context(
        lm=make_lm(model, "tiny", {"max_tokens": 9, "structured_outputs": grammar, "min_p": 0.1})
    ):
        await dspy.Predict(Question).acall(question="2 + 2?", config={"temperature": 0.7, "stop": ["x"]})
    assert model.asked[0][1] == {
        "max_tokens": 9,
        "structured_outputs": grammar,
        "min_p": 0.1,
        "temperature": 0.7,
        "stop": ["x"],
    }


async def test_usage_reaches_dspys_tracker() -> None:
    with dspy.context(lm=make_lm(ScriptedModel(), "tiny", {}), track_usage=True):
        prediction = await dspy.Predict(Question).acall(question="2 + 2?")
    usage = prediction.get_lm_usage()["tiny"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (12, 3)


async def test_streamed_text_and_reasoning_arrive_whole() -> None:
    lm = make_lm(ScriptedModel(reasoning="two and two"), "tiny", {})
    request = dspy.lm15.Request(model="tiny", messages=(dspy.lm15.Message.user("2 + 2?"),))
    deltas: list[Any] = [event async for event in lm._async_engine_spec.stream(request)]
    assert "".join(e.delta.text for e in deltas[1:-1] if e.delta.type == "text") == ANSWER
    assert "".join(e.delta.text for e in deltas[1:-1] if e.delta.type == "thinking") == "two and two"
    assert deltas[-1].usage.input_tokens == 12


async def test_streamify_streams_the_answer_field() -> None:
    program = dspy.streamify(
        dspy.Predict(Question),
        stream_listeners=[dspy.streaming.StreamListener(signature_field_name="answer")],
    )
    with dspy.context(lm=make_lm(ScriptedModel(), "tiny", {})):
        pieces = [piece async for piece in program(question="2 + 2?")]
    assert "".join(piece.chunk for piece in pieces[:-1]).strip() == "four"
    assert pieces[-1].answer == "four"


def test_a_synchronous_stream_ends_its_call_when_left() -> None:
    lm = make_lm(ScriptedModel(), "tiny", {})
    request = dspy.lm15.Request(model="tiny", messages=(dspy.lm15.Message.user("2 + 2?"),))
    events = lm.engine.stream(request)
    assert [next(events).type, next(events).delta.text] == ["start", "[[ "]
    events.close()
    lm.engine.close()


@pytest.mark.parametrize(
    ("error", "theirs"),
    [
        (ContextWindowExceeded("too long"), dspy_errors.ContextWindowExceededError),
        (EngineUnreachable("gone"), dspy_errors.LMTransportError),
        (EngineTimeout("late"), dspy_errors.LMTimeoutError),
        (EngineRateLimited("slow down", retry_after=3), dspy_errors.LMRateLimitError),
    ],
)
async def test_our_error_is_the_cause_of_dspys(error: EngineError, theirs: type[Exception]) -> None:
    lm = make_lm(ScriptedModel(error=error), "tiny", {})
    with dspy.context(lm=lm), pytest.raises(theirs) as caught:
        await dspy.Predict(Question).acall(question="2 + 2?")
    assert engine_error_behind(caught.value) is error
    assert engine_error_behind(ValueError("no engine")) is None


def subclasses(kind: type[EngineError]) -> set[type[EngineError]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def test_every_engine_error_has_its_counterpart_in_dspy() -> None:
    assert subclasses(EngineError) - set(TO_DSPY) == set()


async def test_an_error_is_asked_for_once_only() -> None:
    model = ScriptedModel(error=EngineUnreachable("gone"))
    with dspy.context(lm=make_lm(model, "tiny", {})), pytest.raises(dspy_errors.LMTransportError):
        await dspy.Predict(Question).acall(question="2 + 2?")
    assert len(model.asked) == 1


async def test_what_text_cannot_carry_is_refused_before_anything_is_sent() -> None:
    model = ScriptedModel()
    lm = make_lm(model, "tiny", {})
    with pytest.raises(dspy_errors.LMUnsupportedFeatureError, match="response_format"):
        await lm.acall("2 + 2?", response_format={"type": "json_object"})
    assert model.asked == []


def test_copies_of_a_program_share_the_connections() -> None:
    lm = make_lm(ScriptedModel(), "tiny", {})
    twin = copy.deepcopy(lm)
    assert twin.engine is lm.engine


async def test_the_pair_works_on_a_real_connection_from_both_sides() -> None:
    async with serving(replying(completion(ANSWER))) as server, EngineClient(server.url, "tiny") as client:
        lm = make_lm(client, "tiny", {})
        with dspy.context(lm=lm):
            predict = dspy.Predict(Question)
            assert (await predict.acall(question="2 + 2?")).answer == "four"
            assert (await asyncio.to_thread(predict, question="2 + 2?")).answer == "four"
        await asyncio.to_thread(lm.engine.close)


async def test_cancelling_dspy_closes_the_upstream_connection() -> None:
    async with serving(never) as server, EngineClient(server.url, "tiny") as client:
        with dspy.context(lm=make_lm(client, "tiny", {})):
            call = asyncio.create_task(dspy.Predict(Question).acall(question="2 + 2?"))
            await asyncio.wait_for(server.arrived.wait(), 5)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        await asyncio.wait_for(server.left.wait(), 2)
