"""Turns a compiled program into a constant prompt with holes, where the program is one.

Decided by exact type: `dspy.Predict` or `dspy.ChainOfThought` with their own `forward`. Anything else may
compute something of its own between calls, and is released interpreted.
"""

from __future__ import annotations

from typing import Any

import dspy

from compiler.candidate import Candidate
from programs.adapter import ProgramAdapter
from programs.checks import declared, refuse_unknown_fields
from programs.errors import LoweringImpossible
from programs.execution import Executor, PlanExecutor
from programs.interpreted import InterpretedExecutor
from programs.plan import Field, Message, Plan
from programs.program import Program
from programs.signature import signature_fields


def sole_predictor(module: dspy.Module) -> dspy.Predict:
    """The one predictor whose prompt is the whole program.

    Raises:
        LoweringImpossible: the module does more than call one predictor; says what.
    """
    if type(module) is dspy.ChainOfThought:
        _refuse_own_forward(module)
        predictor = module.predict
    else:
        predictor = module
    if type(predictor) is not dspy.Predict:
        raise LoweringImpossible(
            f"its module is a {type(predictor).__name__}; one prompt are only dspy.Predict and ChainOfThought"
        )
    _refuse_own_forward(predictor)
    if predictor.config:
        raise LoweringImpossible(
            f"its predictor has settings of its own ({', '.join(sorted(predictor.config))})"
        )
    if predictor.lm is not None:
        raise LoweringImpossible("its predictor is bound to a model of its own")
    if predictor.callbacks or module.callbacks:
        raise LoweringImpossible("its module has callbacks, which a constant prompt can't call")
    return predictor


def lower(module: dspy.Module, program: Program, candidate: Candidate, context_tokens: int | None) -> Plan:
    """The plan of the candidate's prompts.

    Raises:
        LoweringImpossible: the program is no constant prompt; carries the reason.
    """
    predictor = sole_predictor(candidate.applied_to(module))
    signature = predictor.signature
    fields = signature_fields(signature)
    for output in fields.outputs:
        if not output.required or output.type == "history":
            raise LoweringImpossible(
                f"output {output.name!r} is optional or a history; a plan's outputs are neither"
            )
    if sum(field.type == "history" for field in fields.inputs) > 1:
        raise LoweringImpossible("its signature has two histories")
    _refuse_strange_defaults(fields.inputs)
    checks = declared(program.checks)
    refuse_unknown_fields(checks, [f.name for f in fields.inputs], [f.name for f in fields.outputs])
    adapter = ProgramAdapter()
    request = adapter.format(signature, list(predictor.demos), {})
    return Plan(
        program=program.name,
        prefix=tuple(Message(message["role"], _text(message["content"])) for message in request[:-1]),
        inputs=fields.inputs,
        outputs=fields.outputs,
        # Without inputs the last message is the reminder alone.
        reminder=_text(request[-1]["content"]),
        chat=program.chat,
        sampling=program.sampling,
        context_tokens=context_tokens,
        checks=checks,
        check_retries=program.check_retries,
    )


def executor(
    module: dspy.Module, program: Program, candidate: Candidate, context_tokens: int | None = None
) -> Executor:
    """What runs the candidate: its plan where it has one, else DSPy's module."""
    try:
        return PlanExecutor(lower(module, program, candidate, context_tokens))
    except LoweringImpossible:
        return interpreted(candidate.applied_to(module), program)


def interpreted(module: dspy.Module, program: Program, trace: list[Any] | None = None) -> InterpretedExecutor:
    """DSPy's own run of a module; `trace` receives what its predictors are given and say."""
    from engine.lm import make_lm

    return InterpretedExecutor(module, program, make_lm, trace)


def why_interpreted(module: dspy.Module, program: Program, candidate: Candidate) -> str | None:
    """The reason why the program can't be lowered, None when it can."""
    try:
        lower(module, program, candidate, None)
    except LoweringImpossible as error:
        return str(error)
    return None


def _refuse_own_forward(module: dspy.Module) -> None:
    """An optimiser such as KNNFewShot replaces `forward` on the instance."""
    own = sorted({"forward", "aforward", "__call__", "acall"} & vars(module).keys())
    if own:
        raise LoweringImpossible(f"its module has a replaced {own[0]!r}")


def _refuse_strange_defaults(inputs: tuple[Field, ...]) -> None:
    for field in inputs:
        if field.default is not None and not isinstance(field.default, str | int | float | bool):
            raise LoweringImpossible(
                f"input {field.name!r} has default {field.default!r}, which no plan can hold"
            )


def _text(content: Any) -> str:
    if not isinstance(content, str):
        raise LoweringImpossible("its prompt holds something other than text")
    return content
