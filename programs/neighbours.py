"""A plan whose demonstrations are chosen for each request: those whose inputs lie nearest to its own.

What `neighbours.json` holds: the plan without demonstrations, a pool of demonstrations as rendered messages
with their vectors, and the embedder that made these. The search is plain Python over sparse vectors: about
1 ms among 1,000 demonstrations.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import ConfigDict, TypeAdapter, ValidationError

from programs.embedding import PRECISION, WIDEST, LearntEmbedder, read_embedder
from programs.errors import ReleaseInvalid
from programs.execution import Model, Outcome, PlanExecutor
from programs.plan import Message, Plan, complete_inputs, plan_as_dict, read_plan
from programs.reader import FieldDelta

MOST_DEMONSTRATIONS = 2_000
MOST_SHOWN = 64

_STRICT = ConfigDict(extra="forbid", strict=False)


class Weight(NamedTuple):
    """One number of a vector that is not 0, and its place."""

    place: Annotated[int, Ge(0), Le(WIDEST - 1)]
    value: Annotated[float, Ge(-1), Le(1)]


class Said(NamedTuple):
    """A message of a demonstration; none may speak as the system."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True)
class Demonstration:
    """One worked example as the prompt shows it, and where its inputs lie."""

    __pydantic_config__ = _STRICT

    messages: Annotated[tuple[Said, ...], MinLen(2)]
    """Its past turns, if it has any, then the question and the reply."""
    vector: tuple[Weight, ...]
    """Places ascend."""
    complete: bool = True
    """False where it lacks an input or an output; such ones are shown first, as DSPy does."""


@dataclass(frozen=True)
class Neighbours:
    """Enough to serve a program that shows each request its `k` nearest demonstrations."""

    plan: Plan
    """Its prefix holds no demonstration."""
    demonstrations: tuple[Demonstration, ...]
    embedder: LearntEmbedder
    k: int

    def plan_showing(self, chosen: Sequence[int]) -> Plan:
        """The plan with these demonstrations, in this order but for incomplete ones, which come first."""
        shown = sorted((self.demonstrations[at] for at in chosen), key=lambda demo: demo.complete)
        messages = (Message(*said) for demo in shown for said in demo.messages)
        return replace(self.plan, prefix=(*self.plan.prefix, *messages))


@dataclass(frozen=True)
class _Written:
    """The file beside its plan and its embedder, which check themselves."""

    __pydantic_config__ = _STRICT

    demonstrations: Annotated[tuple[Demonstration, ...], MinLen(1), MaxLen(MOST_DEMONSTRATIONS)]
    k: Annotated[int, Ge(1), Le(MOST_SHOWN)]
    precision: Literal[4] = PRECISION
    format: Literal[1] = 1


_WRITTEN = TypeAdapter(_Written)


def sparse(vector: Sequence[float]) -> tuple[Weight, ...]:
    """What a release keeps of a vector: made one long and rounded, those of its numbers that are not 0."""
    length = math.hypot(*vector) or 1.0
    rounded = ((place, round(value / length, PRECISION)) for place, value in enumerate(vector))
    return tuple(Weight(place, value) for place, value in rounded if value)


def embedded_text(plan: Plan, inputs: Mapping[str, Any]) -> str:
    """What of a request is compared: its inputs without past turns, one to a line."""
    values = complete_inputs(plan, inputs)
    return "\n".join(str(value) for name, value in values.items() if name != plan.history)


def neighbours_as_dict(neighbours: Neighbours) -> dict[str, Any]:
    return {
        "plan": plan_as_dict(neighbours.plan),
        "embedder": neighbours.embedder.as_dict(),
        "k": neighbours.k,
        "precision": PRECISION,
        "demonstrations": [
            {
                "messages": [said._asdict() for said in demo.messages],
                "vector": [list(weight) for weight in demo.vector],
                "complete": demo.complete,
            }
            for demo in neighbours.demonstrations
        ],
        "format": 1,
    }


def read_neighbours(data: Mapping[str, Any]) -> Neighbours:
    """Builds what `neighbours_as_dict` wrote; anything else raises ReleaseInvalid."""
    rest = dict(data)
    plan, embedder = rest.pop("plan", None), rest.pop("embedder", None)
    if not isinstance(plan, dict) or not isinstance(embedder, dict):
        raise ReleaseInvalid("neighbours.json needs a 'plan' and an 'embedder', each an object")
    try:
        written = _WRITTEN.validate_python(rest)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        where = ".".join(map(str, found["loc"]))
        raise ReleaseInvalid(f"neighbours.json: {where}: {found['msg']}") from error
    learnt = read_embedder(embedder)
    for number, demo in enumerate(written.demonstrations):
        _check(number, demo, learnt.width)
    try:
        base = read_plan(plan)
    except ReleaseInvalid as error:
        raise ReleaseInvalid(f"neighbours.json: plan: {error}") from error
    return Neighbours(base, written.demonstrations, learnt, written.k)


class NeighbourExecutor(PlanExecutor):
    """Runs the plan with the demonstrations nearest to the request, the nearest one last.

    Only what stands before the demonstrations is the same in every request.
    """

    def __init__(self, neighbours: Neighbours) -> None:
        super().__init__(neighbours.plan)
        self.neighbours = neighbours
        # For each place, the demonstrations that have a number there: most have none.
        self._at: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for index, demo in enumerate(neighbours.demonstrations):
            length = math.hypot(*(weight.value for weight in demo.vector)) or 1.0
            for weight in demo.vector:
                self._at[weight.place].append((index, weight.value / length))

    async def run(self, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]) -> Outcome:
        return await (await self._shown(inputs)).run(inputs, model, params)

    async def stream(
        self, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]
    ) -> AsyncGenerator[FieldDelta | Outcome]:
        pieces = (await self._shown(inputs)).stream(inputs, model, params)
        try:
            async for piece in pieces:
                yield piece
        finally:
            await pieces.aclose()

    def nearest(self, vector: Sequence[float]) -> list[int]:
        """The `k` demonstrations with the largest cosine, the nearest last; of equals the first counts."""
        near = [0.0] * len(self.neighbours.demonstrations)
        for place, value in enumerate(vector):
            if value:
                for index, weight in self._at.get(place, ()):
                    near[index] += value * weight
        ranked = heapq.nsmallest(self.neighbours.k, range(len(near)), key=lambda index: (-near[index], index))
        return ranked[::-1]

    async def _shown(self, inputs: Mapping[str, Any]) -> PlanExecutor:
        text = embedded_text(self.plan, inputs)
        (vector,) = await self.neighbours.embedder.embed([text])
        return PlanExecutor(self.neighbours.plan_showing(self.nearest(vector)))


def _check(number: int, demo: Demonstration, width: int) -> None:
    """What the schema can't say of a demonstration."""
    places = [weight.place for weight in demo.vector]
    where = f"neighbours.json: demonstrations.{number}"
    if any(one >= other for one, other in itertools.pairwise(places)):
        raise ReleaseInvalid(f"{where}.vector: its places do not ascend")
    if places and places[-1] >= width:
        raise ReleaseInvalid(f"{where}.vector: place {places[-1]} is beyond the embedder's width {width}")
    if demo.messages[-2].role != "user" or demo.messages[-1].role != "assistant":
        raise ReleaseInvalid(f"{where}.messages: the last two must be a question and its reply")
