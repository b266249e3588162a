"""The model as one run of a module asks it: the steps are kept, bounded, and those of some predictors shown.

Needs dspy, which knows the predictor that a call is for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import dspy

from programs.errors import LimitExceeded
from programs.execution import Delta, Model, Reply, Step, Usage
from programs.plan import Field
from programs.reader import FieldDelta, FieldReader


@dataclass(frozen=True)
class Live:
    """Whose replies are shown while they are written, and which of their fields."""

    predictors: Sequence[dspy.Predict]
    fields: Collection[str]
    show: Callable[[FieldDelta], None]


@dataclass(frozen=True, slots=True)
class WholeReply:
    """A streamed reply, once it is there."""

    text: str
    reasoning: str
    finish_reason: str
    usage: Usage | None
    model: str = ""


class Recorder:
    """A model that remembers the steps of one run and gives no more than `most` of them.

    A module may catch what is raised for too many, so `exceeded` keeps it. After `end` nothing is asked any
    more, by whatever the module left running.
    """

    def __init__(self, model: Model, most: int, live: Live | None = None) -> None:
        self.steps: list[Step] = []
        self.exceeded: LimitExceeded | None = None
        self._model = model
        self._most = most
        self._live = live
        self._begun = 0
        self._over = False
        self._under_way: set[asyncio.Task[Any] | None] = set()

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        self._begin()
        task = asyncio.current_task()
        self._under_way.add(task)
        try:
            reader = self._reader()
            asked = self._model
            if reader is None:
                reply = await asked.complete(messages, params)
            else:
                reply = await self._shown(reader, asked.stream(messages, params))
        finally:
            self._under_way.discard(task)
        self.steps.append(Step(reply.text, reply.finish_reason, reply.usage))
        return reply

    async def stream(self, messages: Sequence[object], params: Mapping[str, object]) -> AsyncGenerator[Delta]:
        """For a module that streams by itself; what it does with the pieces is its own affair."""
        self._begin()
        told = _Telling()
        async with aclosing(self._model.stream(messages, params)) as deltas:
            async for delta in deltas:
                told.take(delta)
                yield delta
        self.steps.append(told.step())

    def end(self) -> None:
        """Stops the calls that are still under way, but for the caller's own."""
        self._over = True
        for task in self._under_way - {asyncio.current_task()}:
            if task is not None:
                task.cancel()

    def _begin(self) -> None:
        if self._over:
            raise LimitExceeded("its run is over", self.steps)
        if self._begun >= self._most:
            self.exceeded = LimitExceeded(
                f"it asked its model more than {self._most} times, the most for one answer", self.steps
            )
            raise self.exceeded
        self._begun += 1

    def _reader(self) -> FieldReader | None:
        """What reads the reply for those who watch, if anybody watches this predictor."""
        if self._live is None:
            return None
        callers = dspy.settings.caller_modules or ()
        predictor = callers[-1] if callers else None
        if not any(predictor is watched for watched in self._live.predictors):
            return None
        assert isinstance(predictor, dspy.Predict)
        return FieldReader([Field(name) for name in predictor.signature.output_fields])

    async def _shown(self, reader: FieldReader, deltas: AsyncGenerator[Delta]) -> Reply:
        assert self._live is not None
        told = _Telling()
        async with aclosing(deltas):
            async for delta in deltas:
                told.take(delta)
                self._show(reader.feed(delta.text))
        self._show(reader.close())
        return told.reply()

    def _show(self, pieces: Sequence[FieldDelta]) -> None:
        assert self._live is not None
        for piece in pieces:
            if piece.field in self._live.fields:
                self._live.show(piece)


class _Telling:
    """A reply that is being told."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._finish_reason = "stop"
        self._usage: Usage | None = None

    def take(self, delta: Delta) -> None:
        self._texts.append(delta.text)
        self._thoughts.append(delta.reasoning)
        self._finish_reason = delta.finish_reason or self._finish_reason
        self._usage = delta.usage or self._usage

    def reply(self) -> WholeReply:
        return WholeReply("".join(self._texts), "".join(self._thoughts), self._finish_reason, self._usage)

    def step(self) -> Step:
        return Step("".join(self._texts), self._finish_reason, self._usage)
