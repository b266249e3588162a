from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

import pytest

from programs.execution import Outcome, PlanExecutor, RunFailed
from programs.plan import Field, Message, Plan, render
from programs.program import Chat, Sampling
from programs.reader import FieldDelta
from tests.programs.scripted import ScriptedModel, ScriptedReply

PLAN = Plan(
    program="sum",
    prefix=(Message("system", "Add."), Message("user", "é\u2028")),
    inputs=(Field("question"),),
    outputs=(Field("reasoning"), Field("answer", "int")),
    reminder="Answer.",
    chat=Chat(user="question", answer="answer", reasoning=("reasoning",)),
    sampling=Sampling(temperature=0.0, max_tokens=32),
)
REPLY = "[[ ## reasoning ## ]]\n1 + 1 = 2.\n\n[[ ## answer ## ]]\n2\n\n[[ ## completed ## ]]\n"


def run(model: ScriptedModel, **params: object) -> Outcome:
    return asyncio.run(PlanExecutor(PLAN).run({"question": "1+1?"}, model, params))


def stream(model: ScriptedModel) -> list[FieldDelta | Outcome]:
    async def collect() -> list[FieldDelta | Outcome]:
        return [item async for item in PlanExecutor(PLAN).stream({"question": "1+1?"}, model, {})]

    return asyncio.run(collect())


def test_a_run_sends_the_rendered_plan_and_types_the_outputs() -> None:
    model = ScriptedModel(REPLY)
    assert run(model).outputs == {"reasoning": "1 + 1 = 2.", "answer": 2}
    assert model.asked == [[message.as_dict() for message in render(PLAN, {"question": "1+1?"})]]


def test_parameters_of_the_call_override_the_plans_sampling() -> None:
    model = ScriptedModel(REPLY)
    run(model, max_tokens=8, seed=3)
    assert model.params == [{"temperature": 0.0, "max_tokens": 8, "seed": 3}]


def test_a_stream_gives_only_field_text_and_then_the_same_outcome() -> None:
    *deltas, outcome = stream(ScriptedModel(REPLY))
    texts = [d.text for d in deltas if isinstance(d, FieldDelta) and d.field == "reasoning"]
    assert "".join(texts) == "1 + 1 = 2." and len(texts) > 1
    assert outcome == run(ScriptedModel(REPLY))


def test_a_reply_cut_by_the_token_limit_keeps_what_was_read() -> None:
    outcome = run(ScriptedModel("[[ ## reasoning ## ]]\n1 + 1", finish_reason="length"))
    assert (outcome.complete, outcome.outputs) == (False, {"reasoning": "1 + 1"})
    assert outcome.finish_reason == "length"


def test_an_unreadable_reply_fails_with_the_step_that_was_paid_for() -> None:
    with pytest.raises(RunFailed, match="no 'answer'") as caught:
        run(ScriptedModel("[[ ## reasoning ## ]]\nhm"))
    assert [step.text for step in caught.value.steps] == ["[[ ## reasoning ## ]]\nhm"]
    assert caught.value.steps[0].usage is not None


def test_closing_a_stream_early_closes_the_models_stream() -> None:
    closed: list[bool] = []

    class Watched(ScriptedModel):
        async def stream(
            self, messages: Sequence[object], params: Mapping[str, object]
        ) -> AsyncGenerator[ScriptedReply]:
            try:
                async for reply in super().stream(messages, params):
                    yield reply
            finally:
                closed.append(True)

    async def leave() -> None:
        items = PlanExecutor(PLAN).stream({"question": "q"}, Watched(REPLY), {})
        await anext(items)
        await items.aclose()

    asyncio.run(leave())
    assert closed == [True]
