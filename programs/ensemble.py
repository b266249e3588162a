"""Several plans that answer together: all are asked at the same time, a reducer makes one answer of theirs.

What `ensemble.json` holds: the members' plans, which differ in their constant prompts only, and the reducer's
name.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from programs.checks import broken
from programs.errors import CheckFailed, ReleaseInvalid
from programs.execution import Model, Outcome, PlanExecutor, RunFailed, Step
from programs.plan import Field, Plan, complete_inputs, plan_as_dict, read_plan
from programs.reader import FieldDelta
from programs.reducers import REDUCERS, refusal
from programs.together import together

FEWEST_MEMBERS, MOST_MEMBERS = 2, 16

Result = Outcome | RunFailed | CheckFailed


@dataclass(frozen=True)
class Ensemble:
    """Enough to serve a program that asks several prompts and gives one answer."""

    members: tuple[Plan, ...]
    reduce: str

    @property
    def answer(self) -> Field:
        """The output that is voted on."""
        plan = self.members[0]
        return next(field for field in plan.outputs if field.name == plan.chat.answer)


def ensemble_as_dict(ensemble: Ensemble) -> dict[str, Any]:
    return {
        "members": [plan_as_dict(plan) for plan in ensemble.members],
        "reduce": ensemble.reduce,
        "format": 1,
    }


def read_ensemble(data: Mapping[str, Any]) -> Ensemble:
    """Builds what `ensemble_as_dict` wrote; anything else raises ReleaseInvalid."""
    if data.keys() != {"members", "reduce", "format"} or data["format"] != 1:
        raise ReleaseInvalid("ensemble.json must hold 'members', 'reduce' and 'format' 1, nothing else")
    members, reduce = data["members"], data["reduce"]
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise ReleaseInvalid("ensemble.json: 'members' must be a list of plans")
    if not FEWEST_MEMBERS <= len(members) <= MOST_MEMBERS:
        allowed = f"{FEWEST_MEMBERS} to {MOST_MEMBERS}"
        raise ReleaseInvalid(f"ensemble.json has {len(members)} members; allowed are {allowed}")
    ensemble = Ensemble(tuple(_member(*numbered) for numbered in enumerate(members)), str(reduce))
    if len({str(plan_as_dict(replace(plan, prefix=()))) for plan in ensemble.members}) > 1:
        raise ReleaseInvalid("ensemble.json: its members differ in more than their constant prompts")
    plan = ensemble.members[0]
    if plan.chat.answer not in {field.name for field in plan.outputs}:
        raise ReleaseInvalid(f"ensemble.json: its chat names {plan.chat.answer!r}, which is no output")
    why = refusal(ensemble.reduce, ensemble.answer)
    if why is not None:
        raise ReleaseInvalid(f"ensemble.json: {why}")
    return ensemble


class EnsembleExecutor:
    """Runs all members at the same time; one whose reply can't be read, is cut or breaks a check has no vote.

    The other outputs are those of the member whose answer won. An engine's error is an error of the run.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble
        self.plan = ensemble.members[0]
        self.chat = self.plan.chat
        self.inputs = self.plan.inputs
        self.outputs = self.plan.outputs
        self._members = [PlanExecutor(plan) for plan in ensemble.members]
        self.checks = self._members[0].checks
        self._reduce = REDUCERS[ensemble.reduce]

    async def run(self, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]) -> Outcome:
        """The winner's outcome with the voted answer; its steps are all members', the winner's last.

        Raises:
            InputInvalid: before any member is asked.
            RunFailed, CheckFailed: no member has a vote; with the steps of all.
            CheckFailed: a mean of answers that each hold the checks does not.
        """
        values = complete_inputs(self.plan, inputs)
        results = await together([_result(member, inputs, model, params) for member in self._members])
        voting = [result for result in results if isinstance(result, Outcome) and result.complete]
        if not voting:
            return _without_votes(results)
        vote = self._reduce(self.ensemble.answer, [result.outputs[self.chat.answer] for result in voting])
        winner = voting[vote.winner]
        outputs = {**winner.outputs, self.chat.answer: vote.answer}
        steps, attempts = _steps(results, winner), _attempts(results)
        reasons = [found.reason for found in broken(self.checks, values, outputs)]
        if reasons:
            raise CheckFailed("; ".join(reasons), steps, outputs, reasons, attempts)
        return replace(winner, outputs=outputs, steps=steps, attempts=attempts)

    async def stream(
        self, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]
    ) -> AsyncGenerator[FieldDelta | Outcome]:
        """Each text arrives in one piece: before all members have answered, no one knows which it is."""
        outcome = await self.run(inputs, model, params)
        for name, value in outcome.outputs.items():
            if isinstance(value, str):
                yield FieldDelta(name, value)
        yield outcome


async def _result(
    member: PlanExecutor, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]
) -> Result:
    try:
        return await member.run(inputs, model, params)
    except (RunFailed, CheckFailed) as error:
        return error


def _without_votes(results: Sequence[Result]) -> Outcome:
    """What a run comes to in which no member gave a whole answer."""
    for result in results:
        if isinstance(result, Outcome):
            return replace(result, steps=_steps(results, result), attempts=_attempts(results))
    first, steps = results[0], _steps(results, results[0])
    failed = next((result for result in results if isinstance(result, CheckFailed)), None)
    if failed is not None:
        raise CheckFailed(str(failed), steps, failed.outputs, failed.reasons, _attempts(results))
    told = f"none of {len(results)} members gave a readable reply; the first: {first}"
    raise RunFailed(told, steps, _attempts(results))


def _attempts(results: Sequence[Result]) -> int:
    """The run itself, and every time that a member was asked again."""
    return 1 + sum(result.attempts - 1 for result in results)


def _steps(results: Sequence[Result], last: Result) -> tuple[Step, ...]:
    """All that was paid for. An outcome ends as its last step did, so the winner's come last."""
    others = [step for result in results if result is not last for step in result.steps]
    return (*others, *last.steps)


def _member(number: int, data: Mapping[str, Any]) -> Plan:
    try:
        return read_plan(data)
    except ReleaseInvalid as error:
        raise ReleaseInvalid(f"ensemble.json: member {number + 1}: {error}") from error
