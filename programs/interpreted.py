"""Runs a program that can't be lowered: DSPy's own module, natively async, on our engine pair.

Needs dspy. Knows nothing of how a model is reached: the caller hands in the maker of a `dspy.LM`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from programs.adapter import ProgramAdapter
from programs.checks import broken
from programs.errors import CheckFailed, ReleaseInvalid
from programs.execution import Delta, Model, Outcome, Reply, RunFailed, Step
from programs.plan import Field
from programs.program import Chat, Program, Sampling
from programs.reader import FieldDelta
from programs.second_try import SecondTry, call_to_repeat

MakeLM = Callable[[Model, str, Mapping[str, object]], dspy.LM]
"""`engine.lm.make_lm`: a model, a name for messages, request parameters -> the LM."""


class InterpretedExecutor:
    """Runs a DSPy module for one request after another; the module itself is never changed by a run.

    `trace`, where given, receives the predictor calls as DSPy records them, those of the last attempt where
    a check was broken before; one run at a time then.
    """

    def __init__(
        self, module: dspy.Module, program: Program, make_lm: MakeLM, trace: list[Any] | None = None
    ) -> None:
        self.chat: Chat = program.chat
        self.sampling: Sampling = program.sampling
        self.inputs: Sequence[Field] = [Field(name) for name in _entry_inputs(module)]
        self.outputs: Sequence[Field] = [
            Field(name) for name in (*program.chat.reasoning, program.chat.answer)
        ]
        self._module = module
        self._make_lm = make_lm
        self._trace = trace
        self._checks = program.checks
        self._attempts = 1 + (program.check_retries if program.checks else 0)

    async def run(self, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]) -> Outcome:
        """The outcome of the module's run, or of a further one where an answer breaks a check.

        Raises:
            RunFailed, CheckFailed
        """
        recorder = Recorder(model)
        lm = self._make_lm(recorder, "student", {**self.sampling.as_request(), **params})
        trace = [] if self._trace is None else self._trace
        begun = len(trace)
        adapter = ProgramAdapter()
        for attempt in range(1, self._attempts + 1):
            try:
                with dspy.context(lm=lm, adapter=adapter, disable_history=True, trace=trace, callbacks=[]):
                    prediction = await self._module.acall(**self._values(inputs))
            except AdapterParseError as error:
                steps = tuple(recorder.steps)
                if steps and steps[-1].finish_reason == "length":
                    return Outcome({}, steps, complete=False, attempts=attempt)
                raise RunFailed("the reply does not hold the declared outputs", steps, attempt) from error
            outputs = dict(prediction.items())
            found = broken(self._checks, inputs, outputs)
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

    def _values(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if self.chat.history is None:
            return dict(inputs)
        return {**inputs, self.chat.history: dspy.History(messages=list(inputs.get(self.chat.history) or []))}

    async def stream(
        self, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]
    ) -> AsyncGenerator[FieldDelta | Outcome]:
        """The answer arrives in one piece: only the last step knows it."""
        outcome = await self.run(inputs, model, params)
        for field in self.outputs:
            if field.name in outcome.outputs:
                yield FieldDelta(field.name, str(outcome.outputs[field.name]))
        yield outcome


class Recorder:
    """A model that remembers the steps of one run."""

    def __init__(self, model: Model) -> None:
        self.steps: list[Step] = []
        self._model = model

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        reply = await self._model.complete(messages, params)
        self.steps.append(Step(reply.text, reply.finish_reason, reply.usage))
        return reply

    def stream(self, messages: Sequence[object], params: Mapping[str, object]) -> AsyncGenerator[Delta]:
        return self._model.stream(messages, params)


def _entry_inputs(module: dspy.Module) -> list[str]:
    """What a call of the module takes: a predictor's input fields, or the parameters of `aforward`."""
    signature = getattr(module, "signature", None) or getattr(
        getattr(module, "predict", None), "signature", None
    )
    if signature is not None:
        return list(signature.input_fields)
    entry = module.aforward if hasattr(module, "aforward") else module.forward
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [name for name, p in inspect.signature(entry).parameters.items() if p.kind in kinds]


def dump_state(module: dspy.Module) -> dict[str, Any]:
    """Instructions and demonstrations of every predictor, nothing else."""
    return {
        name: {
            "instructions": predictor.signature.instructions,
            "demos": [_plain(dict(demo)) for demo in predictor.demos],
        }
        for name, predictor in module.named_predictors()
    }


def load_state(module: dspy.Module, state: Mapping[str, Any]) -> dspy.Module:
    """Puts a state into a fresh module.

    Raises:
        ReleaseInvalid: the state names other predictors or holds anything but instructions and demos.
    """
    predictors = dict(module.named_predictors())
    if state.keys() != predictors.keys():
        raise ReleaseInvalid(
            f"state.json has predictors {sorted(state)}, the program has {sorted(predictors)}"
        )
    for name, part in state.items():
        if not isinstance(part, dict) or part.keys() != {"instructions", "demos"}:
            raise ReleaseInvalid(f"state.json: {name!r} may hold 'instructions' and 'demos' only")
        predictor = predictors[name]
        if not isinstance(part["instructions"], str) or not isinstance(part["demos"], list):
            raise ReleaseInvalid(f"state.json: {name!r} needs a text and a list")
        predictor.signature = predictor.signature.with_instructions(part["instructions"])
        predictor.demos = [dspy.Example(**_revived(demo, predictor.signature)) for demo in part["demos"]]
    return module


def signature_fingerprint(module: dspy.Module) -> str:
    """SHA-256 over names, order, types and descriptions of every predictor's fields."""
    shape = {
        name: [
            [field, str(info.annotation), info.json_schema_extra]
            for field, info in predictor.signature.fields.items()
        ]
        for name, predictor in module.named_predictors()
    }
    return hashlib.sha256(json.dumps(shape, sort_keys=True, default=str).encode()).hexdigest()


def source_digest(program: Program) -> str:
    """SHA-256 over the source file that defines the program's module."""
    file = inspect.getsourcefile(inspect.unwrap(program.make_module))
    if file is None:
        raise ReleaseInvalid(f"program {program.name!r} has no source file to digest")
    with open(file, "rb") as source:
        return hashlib.sha256(source.read()).hexdigest()


def _plain(demo: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: [dict(turn) for turn in value.messages] if isinstance(value, dspy.History) else value
        for key, value in demo.items()
    }


def _revived(demo: Mapping[str, Any], signature: type[dspy.Signature]) -> dict[str, Any]:
    histories = {name for name, info in signature.input_fields.items() if info.annotation is dspy.History}
    return {k: dspy.History(messages=v) if k in histories and v is not None else v for k, v in demo.items()}
