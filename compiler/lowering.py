"""Turns a compiled program into data that runs without DSPy, where the program is a constant prompt.

Decided by exact type: `dspy.Predict` or `dspy.ChainOfThought` with their own `forward`. Anything else may
compute something of its own between calls, and is released interpreted. The data is a plan, or for a
candidate that is more than one prompt, neighbours or an ensemble of plans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import dspy

from compiler.candidate import Candidate, EnsembleCandidate, NeighbourCandidate
from programs.adapter import ProgramAdapter
from programs.checks import declared, refuse_unknown_fields
from programs.ensemble import Ensemble, EnsembleExecutor, ensemble_as_dict, read_ensemble
from programs.errors import LoweringImpossible
from programs.execution import Executor, PlanExecutor
from programs.interpreted import InterpretedExecutor
from programs.neighbours import (
    Demonstration,
    NeighbourExecutor,
    Neighbours,
    Said,
    neighbours_as_dict,
    read_neighbours,
    sparse,
)
from programs.plan import Field, Message, Plan, plan_as_dict, read_plan
from programs.program import Program
from programs.release import Kind
from programs.signature import SignatureFields, signature_fields


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
        if output.type == "history":
            raise LoweringImpossible(f"output {output.name!r} is a history, which no reply can hold")
    if sum(field.type == "history" for field in fields.inputs) > 1:
        raise LoweringImpossible("its signature has two histories")
    _refuse_strange_defaults((*fields.inputs, *fields.outputs))
    _refuse_half_tools(fields)
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


Form = Plan | Neighbours | Ensemble


class FormKind(NamedTuple):
    """How a form is released and run."""

    kind: Kind
    write: Callable[[Any], dict[str, Any]]
    read: Callable[[Mapping[str, Any]], Form]
    run: Callable[[Any], Executor]


FORMS: Mapping[type[Form], FormKind] = {
    Plan: FormKind("plan", plan_as_dict, read_plan, PlanExecutor),
    Neighbours: FormKind("neighbours", neighbours_as_dict, read_neighbours, NeighbourExecutor),
    Ensemble: FormKind("ensemble", ensemble_as_dict, read_ensemble, EnsembleExecutor),
}


def lower_form(
    module: dspy.Module, program: Program, candidate: Candidate, context_tokens: int | None
) -> Form:
    """All that the candidate is, as data.

    Raises:
        LoweringImpossible: the program is no constant prompt; carries the reason.
    """
    if isinstance(candidate, EnsembleCandidate):
        members = (lower(module, program, member, context_tokens) for member in candidate.members)
        return Ensemble(tuple(members), candidate.reduce)
    plan = lower(module, program, candidate, context_tokens)
    if isinstance(candidate, NeighbourCandidate):
        signature = sole_predictor(candidate.applied_to(module)).signature
        shown = zip(candidate.pool, candidate.vectors, strict=True)
        demonstrations = tuple(_demonstration(signature, demo, vector) for demo, vector in shown)
        return Neighbours(plan, demonstrations, candidate.embedder, candidate.k)
    return plan


def executor(
    module: dspy.Module, program: Program, candidate: Candidate, context_tokens: int | None = None
) -> Executor:
    """What runs the candidate: its data where it can be lowered, else DSPy's module.

    Raises:
        LoweringImpossible: the candidate is more than one prompt, and the program is none.
    """
    try:
        form = lower_form(module, program, candidate, context_tokens)
    except LoweringImpossible:
        if isinstance(candidate, NeighbourCandidate | EnsembleCandidate):
            raise
        return interpreted(candidate.applied_to(module), program)
    return FORMS[type(form)].run(form)


def interpreted(module: dspy.Module, program: Program, trace: list[Any] | None = None) -> InterpretedExecutor:
    """DSPy's own run of a module; `trace` receives what its predictors are given and say."""
    from engine.direct import DirectLM

    return InterpretedExecutor(module, program, DirectLM, trace)


def why_interpreted(module: dspy.Module, program: Program, candidate: Candidate) -> str | None:
    """The reason why the program can't be lowered, None when it can."""
    try:
        lower(module, program, candidate, None)
    except LoweringImpossible as error:
        return str(error)
    return None


def _demonstration(
    signature: type[dspy.Signature], demo: Mapping[str, Any], vector: Sequence[float]
) -> Demonstration:
    """A demonstration as the adapter shows it alone, between the system message and the request."""
    _, *messages, _ = ProgramAdapter().format(signature, [dict(demo)], {})
    if len(messages) < 2:
        raise LoweringImpossible(f"a demonstration lacks all inputs or all outputs: {dict(demo)!r}")
    said = (Said(message["role"], _text(message["content"])) for message in messages)
    needed = [name for name, field in signature.fields.items() if field.annotation is not dspy.History]
    complete = all(demo.get(name) is not None for name in needed)
    return Demonstration(tuple(said), sparse(vector), complete)


def _refuse_own_forward(module: dspy.Module) -> None:
    """An optimiser such as KNNFewShot replaces `forward` on the instance."""
    own = sorted({"forward", "aforward", "__call__", "acall"} & vars(module).keys())
    if own:
        raise LoweringImpossible(f"its module has a replaced {own[0]!r}")


def _refuse_strange_defaults(inputs: tuple[Field, ...]) -> None:
    for field in inputs:
        if field.default is not None and not isinstance(field.default, str | int | float | bool):
            raise LoweringImpossible(
                f"field {field.name!r} has default {field.default!r}, which no plan can hold"
            )


def _refuse_half_tools(fields: SignatureFields) -> None:
    """Tools are there to be called, and a call is checked against them."""
    tools = [field.name for field in fields.inputs if field.type in ("tools", "tool")]
    calls = [field.name for field in fields.outputs if field.type == "tool_calls"]
    if (tools or calls) and (len(tools), len(calls)) != (1, 1):
        raise LoweringImpossible(
            f"its signature has {len(tools)} inputs of tools and {len(calls)} outputs that call them; "
            "a plan has one of each, or none"
        )


def _text(content: Any) -> str:
    if not isinstance(content, str):
        raise LoweringImpossible("its prompt holds something other than text")
    return content
