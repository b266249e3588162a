"""Runs a program that can't be lowered: DSPy's own module, natively async, on our engine pair.

Needs dspy. Knows nothing of how a model is reached: the caller hands in the maker of a `dspy.LM`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import dspy
from dspy.utils.exceptions import AdapterParseError

from programs.adapter import ProgramAdapter
from programs.checks import broken
from programs.errors import CheckFailed, LimitExceeded, ProgramInvalid
from programs.execution import Model, Outcome, RunFailed
from programs.module_fields import ModuleFields
from programs.plan import Field
from programs.program import Chat, Program, RunLimits, Sampling
from programs.reader import FieldDelta
from programs.second_try import SecondTry, call_to_repeat
from programs.steps import Live, Recorder
from programs.threads import in_thread
from programs.tool_calls import calls_checks
from programs.tool_threads import keep_tools_off_the_loop

MakeLM = Callable[[Model, str, Mapping[str, object]], dspy.LM]
"""`engine.direct.DirectLM`, or another maker: a model, a name for messages, request parameters -> the LM."""


class _Asked(NamedTuple):
    """What one run was asked; its inputs as the module takes them."""

    inputs: Mapping[str, Any]
    values: Mapping[str, Any]
    model: Model
    params: Mapping[str, object]


class InterpretedExecutor:
    """Runs a DSPy module for one request after another; the module itself is never changed by a run.

    A module that has only `forward` runs in a thread, on a copy of its own. `trace`, where given, receives
    the predictor calls as DSPy records them, those of the last attempt where a check was broken before; one
    run at a time then. `limits` are the program's own unless they are given.
    """

    def __init__(
        self,
        module: dspy.Module,
        program: Program,
        make_lm: MakeLM,
        trace: list[Any] | None = None,
        limits: RunLimits | None = None,
    ) -> None:
        self.chat: Chat = program.chat
        self.sampling: Sampling = program.sampling
        self._fields = ModuleFields(module, program.chat)
        self.inputs: Sequence[Field] = self._fields.inputs
        self.outputs: Sequence[Field] = self._fields.outputs
        self._name = program.name
        self._module = module
        self._make_lm = make_lm
        self._adapter = ProgramAdapter()
        self._trace = trace
        self._checks = (*program.checks, *calls_checks(self.inputs, self.outputs))
        self._attempts = 1 + (program.check_retries if self._checks else 0)
        self._limits = limits or program.limits
        self._answering = _answering(module, program)
        self._texts = [field.name for field in self.outputs if field.type == "str"]
        keep_tools_off_the_loop(module)

    @property
    def streams(self) -> bool:
        """Whether an answer's text is shown while it is written: no check may take it back later."""
        return bool(self._answering) and not self._checks

    async def run(self, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]) -> Outcome:
        """The outcome of the module's run, or of a further one where an answer breaks a check.

        Raises:
            InputInvalid, RunFailed, CheckFailed, LimitExceeded
        """
        return await self._run(_Asked(inputs, self._fields.values(inputs), model, params), None)

    async def stream(
        self, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]
    ) -> AsyncGenerator[FieldDelta | Outcome]:
        """The texts as the predictors that end the program write them; other texts when the run is over."""
        arrived: asyncio.Queue[FieldDelta | None] = asyncio.Queue()
        live = Live(self._answering, self._texts, arrived.put_nowait) if self.streams else None
        asked = _Asked(inputs, self._fields.values(inputs), model, params)
        # In a task of its own: a slow reader of the texts must not use up the run's time.
        run = asyncio.ensure_future(self._run(asked, live))
        run.add_done_callback(lambda _: arrived.put_nowait(None))
        told: dict[str, str] = {}
        try:
            while (piece := await arrived.get()) is not None:
                told[piece.field] = told.get(piece.field, "") + piece.text
                yield piece
            outcome = await run
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
        if not outcome.complete:
            yield Outcome(told, outcome.steps, complete=False, attempts=outcome.attempts)
            return
        self._refuse_unlike(told, outcome)
        for name in self._texts:
            text = outcome.outputs.get(name)
            if name not in told and isinstance(text, str):
                yield FieldDelta(name, text)
        yield outcome

    async def _run(self, asked: _Asked, live: Live | None) -> Outcome:
        recorder = Recorder(asked.model, self._limits.steps, live)
        limit = asyncio.timeout(self._limits.seconds)
        try:
            async with limit:
                return await self._until_unbroken(asked, recorder)
        except TimeoutError as error:
            if not limit.expired():
                raise
            told = f"it took longer than {self._limits.seconds:g} seconds, the most for one answer"
            raise LimitExceeded(told, recorder.steps) from error
        finally:
            recorder.end()

    async def _until_unbroken(self, asked: _Asked, recorder: Recorder) -> Outcome:
        """Runs the module until its answer breaks no check, as often as it may."""
        trace = [] if self._trace is None else self._trace
        begun = len(trace)
        lm = self._make_lm(recorder, "student", {**self.sampling.as_request(), **asked.params})
        adapter = self._adapter
        for attempt in range(1, self._attempts + 1):
            try:
                with dspy.context(lm=lm, adapter=adapter, disable_history=True, trace=trace, callbacks=[]):
                    prediction = await self._called(asked.values, recorder)
            except AdapterParseError as error:
                steps = tuple(recorder.steps)
                if steps and steps[-1].finish_reason == "length":
                    return Outcome({}, steps, complete=False, attempts=attempt)
                raise RunFailed("the reply does not hold the declared outputs", steps, attempt) from error
            outputs = self._fields.as_json(prediction)
            found = broken(self._checks, asked.inputs, outputs)
            if not found:
                return Outcome(outputs, tuple(recorder.steps), attempts=attempt)
            reasons = [item.reason for item in found]
            repeated = call_to_repeat(trace[begun:], {item.field for item in found if item.field})
            if repeated is None:
                break  # no model was asked, so none can be asked again
            if attempt < self._attempts:
                adapter = SecondTry(repeated, reasons)
                del trace[begun:]
        raise CheckFailed("; ".join(reasons), recorder.steps, outputs, reasons, attempt)

    async def _called(self, values: Mapping[str, Any], recorder: Recorder) -> dspy.Prediction:
        """What the module gives; a limit that was exceeded counts even where the module got over it."""
        try:
            if hasattr(self._module, "aforward"):
                prediction = await self._module.acall(**values)
            else:
                prediction = await self._called_in_thread(values)
        except Exception as error:
            if recorder.exceeded is not None and recorder.exceeded is not error:
                raise recorder.exceeded from error
            raise
        if recorder.exceeded is not None:
            raise recorder.exceeded
        return prediction

    async def _called_in_thread(self, values: Mapping[str, Any]) -> dspy.Prediction:
        def work() -> dspy.Prediction:
            # DSPy's own BestOfN and Refine count their failures in themselves. A trace names a module's own
            # predictors, and where there is one, nobody else runs.
            module = self._module if self._trace is not None else self._module.deepcopy()
            return module(**values)

        with dspy.context(allow_tool_async_sync_conversion=True):
            return await in_thread(f"program {self._name!r}", work)

    def _refuse_unlike(self, told: Mapping[str, str], outcome: Outcome) -> None:
        for name, text in told.items():
            if outcome.outputs.get(name) != text:
                raise RunFailed(
                    f"output {name!r} is not what was shown of it; `answered_by` may only name predictors "
                    "that are called once in a run, and whose text the program gives as it is",
                    outcome.steps,
                    outcome.attempts,
                )


def _answering(module: dspy.Module, program: Program) -> list[dspy.Predict]:
    """The predictors whose texts are the program's own; known of DSPy's modules, declared for others."""
    known: dict[type, str] = {
        dspy.Predict: "self",
        dspy.ChainOfThought: "predict",
        dspy.ReAct: "extract.predict",
    }
    names = program.answered_by or [known[kind] for kind in (type(module),) if kind in known]
    predictors = dict(module.named_predictors())
    for name in names:
        if name not in predictors:
            raise ProgramInvalid(
                f"program {program.name!r} has answered_by={program.answered_by!r}: its predictors are "
                f"{', '.join(predictors)}"
            )
    return [predictors[name] for name in names] if hasattr(module, "aforward") else []
