from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from programs.checks import is_one_of, matches
from programs.ensemble import Ensemble, EnsembleExecutor, ensemble_as_dict, read_ensemble
from programs.errors import CheckFailed, InputInvalid, ReleaseInvalid
from programs.execution import Outcome, RunFailed
from programs.plan import Field, Message, Plan
from programs.program import Chat, Sampling
from programs.reader import FieldDelta
from tests.programs.scripted import ScriptedModel, ScriptedReply

PLAN = Plan(
    program="sum",
    prefix=(),
    inputs=(Field("question"),),
    outputs=(Field("reasoning"), Field("answer")),
    reminder="Answer.",
    chat=Chat(user="question", answer="answer", reasoning=("reasoning",)),
    sampling=Sampling(),
)
NAMES = ("one", "two", "three")
ENSEMBLE = Ensemble(
    tuple(replace(PLAN, prefix=(Message("system", name),)) for name in NAMES), reduce="majority"
)


def said(reasoning: str, answer: str) -> str:
    return f"[[ ## reasoning ## ]]\n{reasoning}\n\n[[ ## answer ## ]]\n{answer}\n\n[[ ## completed ## ]]"


class Members(ScriptedModel):
    """Says to each member, known by its system message, what is scripted for it; or raises it."""

    def __init__(self, *replies: ScriptedReply | Exception, together: int = 0) -> None:
        super().__init__("")
        self.replies = dict(zip(NAMES, replies, strict=True))
        self.here = asyncio.Barrier(together) if together else None
        self.stopped: list[str] = []

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> ScriptedReply:
        name = orjson.loads(orjson.dumps(messages[0]))["content"]
        self._remember(messages, params)
        reply = self.replies[name]
        if isinstance(reply, Exception):
            raise reply
        try:
            if self.here is not None:
                await self.here.wait()
        except asyncio.CancelledError:
            self.stopped.append(name)
            raise
        return reply


def answered(*answers: str) -> Members:
    return Members(*(ScriptedReply(said(f"by {n}", a)) for n, a in zip(NAMES, answers, strict=True)))


def run(model: Members, ensemble: Ensemble = ENSEMBLE) -> Outcome:
    return asyncio.run(EnsembleExecutor(ensemble).run({"question": "1+1?"}, model, {}))


def test_the_reasoning_is_the_winners_and_every_step_is_kept() -> None:
    outcome = run(answered("3", "2", "2"))
    assert outcome.outputs == {"reasoning": "by two", "answer": "2"}
    assert [step.text for step in outcome.steps] == [
        said("by one", "3"),
        said("by three", "2"),
        said("by two", "2"),
    ]


async def test_members_are_asked_at_the_same_time() -> None:
    model = Members(*[ScriptedReply(said("r", "2"))] * 3, together=3)
    async with asyncio.timeout(5):
        outcome = await EnsembleExecutor(ENSEMBLE).run({"question": "q"}, model, {})
    assert outcome.outputs["answer"] == "2" and len(model.asked) == 3


def test_an_unreadable_and_a_cut_member_have_no_vote() -> None:
    cut = ScriptedReply("[[ ## reasoning ## ]]\nhm", finish_reason="length")
    outcome = run(Members(ScriptedReply("no idea"), cut, ScriptedReply(said("r", "2"))))
    assert (outcome.outputs["answer"], outcome.complete, outcome.finish_reason) == ("2", True, "stop")
    assert len(outcome.steps) == 3


def test_without_a_readable_member_the_run_fails_with_all_steps() -> None:
    with pytest.raises(
        RunFailed, match="none of 3 members gave a readable reply; the first: the reply has no"
    ) as caught:
        run(Members(*[ScriptedReply("no idea")] * 3))
    assert len(caught.value.steps) == 3


def test_where_none_is_whole_a_cut_member_says_so() -> None:
    cut = ScriptedReply("[[ ## reasoning ## ]]\nhm", finish_reason="length")
    outcome = run(Members(ScriptedReply("no idea"), cut, ScriptedReply("no idea")))
    assert (outcome.complete, outcome.finish_reason, outcome.outputs) == (
        False,
        "length",
        {"reasoning": "hm"},
    )


def test_a_member_that_breaks_a_check_has_no_vote() -> None:
    checked = Ensemble(
        tuple(replace(p, checks=(matches("answer", r"\d"),), check_retries=0) for p in ENSEMBLE.members),
        "first",
    )
    assert run(answered("two", "2", "3"), checked).outputs["answer"] == "2"
    with pytest.raises(CheckFailed) as caught:
        run(answered("two", "two", "two"), checked)
    assert len(caught.value.steps) == 3


async def test_an_error_of_the_engine_is_the_runs_and_stops_the_other_members() -> None:
    late = ScriptedReply(said("r", "2"))
    model = Members(late, ConnectionError("gone"), late, together=3)
    with pytest.raises(ConnectionError, match="gone"):
        await EnsembleExecutor(ENSEMBLE).run({"question": "q"}, model, {})
    assert sorted(model.stopped) == ["one", "three"]


def test_a_mean_that_breaks_a_check_is_not_given_out() -> None:
    number = replace(PLAN, outputs=(Field("reasoning"), Field("answer", "int")))
    odd = replace(number, checks=(is_one_of("answer", 1, 3),), check_retries=1)
    members = tuple(replace(odd, prefix=(Message("system", name),)) for name in NAMES)
    with pytest.raises(CheckFailed, match="must be one of 1, 3") as caught:
        run(answered("1", "3", "2"), Ensemble(members, reduce="mean"))
    assert (caught.value.outputs["answer"], len(caught.value.steps), caught.value.attempts) == (2, 4, 2)


async def test_a_caller_that_leaves_stops_all_members() -> None:
    model = Members(*[ScriptedReply(said("r", "2"))] * 3, together=4)
    run = asyncio.create_task(EnsembleExecutor(ENSEMBLE).run({"question": "q"}, model, {}))
    for _ in range(9):
        await asyncio.sleep(0)
    assert len(model.asked) == 3 and run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert sorted(model.stopped) == sorted(NAMES)


def test_an_unknown_input_is_refused_before_anyone_is_asked() -> None:
    model = answered("1", "1", "1")
    with pytest.raises(InputInvalid, match="colour"):
        asyncio.run(EnsembleExecutor(ENSEMBLE).run({"colour": "red"}, model, {}))
    assert model.asked == []


def test_a_stream_gives_each_text_in_one_piece_and_the_same_outcome() -> None:
    async def collect() -> list[FieldDelta | Outcome]:
        stream = EnsembleExecutor(ENSEMBLE).stream({"question": "1+1?"}, answered("3", "2", "2"), {})
        return [item async for item in stream]

    *pieces, outcome = asyncio.run(collect())
    assert pieces == [FieldDelta("reasoning", "by two"), FieldDelta("answer", "2")]
    assert outcome == run(answered("3", "2", "2"))


def test_an_ensemble_reads_back_as_it_was_written() -> None:
    assert read_ensemble(json.loads(json.dumps(ensemble_as_dict(ENSEMBLE)))) == ENSEMBLE


MEMBERS = ensemble_as_dict(ENSEMBLE)["members"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"code": "import os"}, "nothing else"),
        ({"format": 2}, "'format' 1"),
        ({"members": "all"}, "a list of plans"),
        ({"members": ["one", "two"]}, "must be a list of plans"),
        ({"members": MEMBERS[:1]}, "has 1 members; allowed are 2 to 16"),
        ({"members": MEMBERS * 6}, "has 18 members"),
        ({"reduce": "median"}, "no reducer 'median'"),
        ({"reduce": ["majority"]}, "no reducer"),
        ({"reduce": "mean"}, "needs a number"),
        ({"members": [MEMBERS[0], MEMBERS[1] | {"forward": "x"}]}, "member 2: .*forward"),
        ({"members": [MEMBERS[0], MEMBERS[1] | {"reminder": "Sing."}]}, "more than their constant prompts"),
        ({"members": [m | {"chat": m["chat"] | {"answer": "x"}} for m in MEMBERS]}, "which is no output"),
    ],
)
def test_a_forged_ensemble_is_refused(change: dict[str, Any], reason: str) -> None:
    data = json.loads(json.dumps(ensemble_as_dict(ENSEMBLE) | change))
    with pytest.raises(ReleaseInvalid, match=reason):
        read_ensemble(data)
