"""Runs a program on one set of inputs: ask the model, read the reply, account for every step.

The compiler scores and the gateway serves through the same executors. Knows models only by the `Model`
protocol, which `engine.client.EngineClient` satisfies, and nothing of HTTP or prices.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson

from programs.checks import ASK_AGAIN, broken
from programs.errors import CheckFailed, ReplyUnparseable
from programs.plan import Field, Message, Plan, complete_inputs, neutralise, render_request
from programs.program import Chat
from programs.reader import FieldDelta, FieldReader
from programs.tool_calls import calls_checks


class Usage(Protocol):
    @property
    def prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int | None: ...


class Reply(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def reasoning(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def finish_reason(self) -> str: ...
    @property
    def usage(self) -> Usage | None: ...


class Delta(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def reasoning(self) -> str: ...
    @property
    def finish_reason(self) -> str | None: ...
    @property
    def usage(self) -> Usage | None: ...


class Model(Protocol):
    """Something that answers chats; messages are dicts or pre-serialised `orjson.Fragment`s."""

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply: ...
    def stream(self, messages: Sequence[object], params: Mapping[str, object]) -> AsyncGenerator[Delta]: ...


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the model: the whole reply and what it took."""

    text: str
    finish_reason: str
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave.

    `complete` is False when the token limit cut the reply before all outputs were read; `outputs` then holds
    the texts read so far, or nothing where the program has checks. `attempts` counts from 1; `steps` are
    those of all attempts.
    """

    outputs: Mapping[str, Any]
    steps: tuple[Step, ...]
    complete: bool = True
    attempts: int = 1

    @property
    def finish_reason(self) -> str:
        return self.steps[-1].finish_reason if self.steps else "stop"


class RunFailed(ReplyUnparseable):
    """A reply that can't be read, with the steps that were paid for, those of earlier attempts too."""

    def __init__(self, message: str, steps: tuple[Step, ...], attempts: int = 1) -> None:
        self.steps = steps
        self.attempts = attempts
        super().__init__(message)


class Executor(Protocol):
    """A served or scored program: `run` gives the outcome, `stream` the fields' text and then the outcome."""

    @property
    def chat(self) -> Chat: ...
    @property
    def inputs(self) -> Sequence[Field]: ...
    @property
    def outputs(self) -> Sequence[Field]: ...
    async def run(self, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]) -> Outcome: ...
    def stream(
        self, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]
    ) -> AsyncGenerator[FieldDelta | Outcome]: ...


class PlanExecutor:
    """Runs a plan: one call of the model, and further ones only where an answer breaks a check.

    `params` override the plan's own sampling.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.chat = plan.chat
        self.inputs = plan.inputs
        self.outputs = plan.outputs
        self.checks = (*plan.checks, *calls_checks(plan.inputs, plan.outputs))
        # Serialised once: most of a compiled prompt never changes.
        self._prefix = [orjson.Fragment(orjson.dumps(message.as_dict())) for message in plan.prefix]
        self._params = plan.sampling.as_request()

    async def run(self, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]) -> Outcome:
        """The outcome of the call.

        Raises:
            InputInvalid, RunFailed, CheckFailed
        """
        if self.checks:
            return await self._run_checked(inputs, model, {**self._params, **params})
        reply = await model.complete(self._messages(inputs), {**self._params, **params})
        return self.read(reply)

    async def _run_checked(
        self, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]
    ) -> Outcome:
        """Asks until an answer holds every check, telling the model each time what was wrong."""
        messages, values = self._messages(inputs), complete_inputs(self.plan, inputs)
        steps: tuple[Step, ...] = ()
        for attempt in range(1, self.plan.check_retries + 2):
            reply = await model.complete(messages, params)
            try:
                outcome = self.read(reply)
            except RunFailed as error:
                raise RunFailed(str(error), (*steps, *error.steps), attempt) from error
            steps += outcome.steps
            if not outcome.complete:
                return Outcome({}, steps, complete=False, attempts=attempt)
            reasons = [found.reason for found in broken(self.checks, values, outcome.outputs)]
            if not reasons:
                return replace(outcome, steps=steps, attempts=attempt)
            said, again = Message("assistant", reply.text), Message("user", self._ask_again(reasons))
            messages += [said.as_dict(), again.as_dict()]
        raise CheckFailed("; ".join(reasons), steps, outcome.outputs, reasons, attempt)

    def _ask_again(self, reasons: Sequence[str]) -> str:
        return ASK_AGAIN.format(reasons=neutralise("; ".join(reasons)), form=self.plan.reminder)

    async def stream(
        self, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]
    ) -> AsyncGenerator[FieldDelta | Outcome]:
        """The fields' text as it arrives; with checks in one piece, once they have passed."""
        if self.checks:
            outcome = await self.run(inputs, model, params)
            for piece in self._pieces(outcome):
                yield piece
            yield outcome
            return
        reader = FieldReader(self.outputs)
        texts: list[str] = []
        finish_reason, usage = "stop", None
        deltas = model.stream(self._messages(inputs), {**self._params, **params})
        try:
            async for delta in deltas:
                finish_reason, usage = delta.finish_reason or finish_reason, delta.usage or usage
                texts.append(delta.text)
                for piece in reader.feed(delta.text):
                    yield piece
        finally:
            await deltas.aclose()
        for piece in reader.close():
            yield piece
        yield _outcome(reader, Step("".join(texts), finish_reason, usage))

    def read(self, reply: Reply) -> Outcome:
        """The outcome of a reply, from this call or from a recorded one."""
        reader = FieldReader(self.outputs)
        reader.feed(reply.text)
        reader.close()
        return _outcome(reader, Step(reply.text, reply.finish_reason, reply.usage))

    def _pieces(self, outcome: Outcome) -> list[FieldDelta]:
        """The text of each output of a checked answer."""
        if not outcome.complete:
            return []
        reader = FieldReader(self.outputs)
        reader.feed(outcome.steps[-1].text)
        reader.close()
        return [FieldDelta(name, text) for name, text in reader.texts().items()]

    def _messages(self, inputs: Mapping[str, Any]) -> list[object]:
        return [*self._prefix, *(message.as_dict() for message in render_request(self.plan, inputs))]


def _outcome(reader: FieldReader, step: Step) -> Outcome:
    try:
        return Outcome(reader.outputs(), (step,))
    except ReplyUnparseable as error:
        if step.finish_reason == "length":
            return Outcome(reader.texts(), (step,), complete=False)
        raise RunFailed(str(error), (step,)) from error
