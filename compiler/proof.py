"""Proves a lowering: the plan renders and reads byte for byte what DSPy's adapter renders and reads.

Rendering is checked on every example and on hostile inputs; reading on replies that the build recorded and on
mutations of them, each arriving whole and in two pieces. One difference makes the release interpreted.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError
from pydantic_core import PydanticUndefined

from compiler.candidate import Candidate
from compiler.hostility import hostile_values, mutations
from compiler.lowering import interpreted, lower, sole_predictor
from compiler.scoring import request_inputs
from programs.adapter import ProgramAdapter
from programs.errors import LoweringImpossible, ReplyUnparseable
from programs.execution import Executor, PlanExecutor
from programs.plan import Plan, plan_as_dict, read_plan, render
from programs.program import Program
from programs.reader import FieldReader

REPLIES = 20  # recorded replies that are mutated and read
THOROUGH = 4  # of them, those that are cut at every place, or at MANY_CUTS
MANY_CUTS = 500
CUTS = 16  # places where any other text is cut


@dataclass(frozen=True)
class Proof:
    """How much was checked, and the first difference where there is one."""

    rendered: int = 0
    replies: int = 0
    readings: int = 0
    difference: str | None = None


@dataclass(frozen=True)
class Lowered:
    """What will be served: a plan, or DSPy's module and the reason why."""

    executor: Executor
    plan: Plan | None
    reason: str | None
    proof: Proof | None


def lower_proven(
    subject: tuple[Program, dspy.Module],
    candidate: Candidate,
    context_tokens: int | None,
    examples: Sequence[dspy.Example],
    replies: Sequence[str],
) -> Lowered:
    """The candidate's plan where it has one that is proven; else it is interpreted, with the reason."""
    program, module = subject
    compiled = candidate.applied_to(module)
    try:
        # Through its file's form, since that is what will be served.
        plan = read_plan(plan_as_dict(lower(module, program, candidate, context_tokens)))
    except LoweringImpossible as error:
        return Lowered(interpreted(compiled, program), None, str(error), None)
    proof = prove(plan, sole_predictor(compiled), examples, replies)
    if proof.difference is not None:
        reason = f"the proof of its lowering failed: {proof.difference}"
        return Lowered(interpreted(compiled, program), None, reason, proof)
    return Lowered(PlanExecutor(plan), plan, None, proof)


def prove(
    plan: Plan, predictor: dspy.Predict, examples: Sequence[dspy.Example], replies: Sequence[str]
) -> Proof:
    """Checks rendering, then reading; stops at the first difference."""
    rendered = _prove_rendering(plan, predictor, examples)
    if rendered.difference is not None:
        return rendered
    read = _prove_reading(plan, predictor.signature, replies)
    return replace(read, rendered=rendered.rendered)


def _prove_rendering(plan: Plan, predictor: dspy.Predict, examples: Sequence[dspy.Example]) -> Proof:
    executor = PlanExecutor(plan)
    known = [request_inputs(executor, example) for example in examples]
    count = 0
    for inputs in (*known, *_hostile_inputs(plan, known)):
        count += 1
        ours = [message.as_dict() for message in render(plan, inputs)]
        if ours != _adapter_messages(predictor, plan, inputs):
            return Proof(count, difference=f"the prompt for {_shortened(inputs)} is not DSPy's")
    return Proof(count)


def _adapter_messages(predictor: dspy.Predict, plan: Plan, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What `dspy.Predict` sends: declared defaults filled in, past turns as DSPy's own type."""
    values = dict(inputs)
    for name, info in predictor.signature.input_fields.items():
        if name not in values and info.default is not PydanticUndefined:
            values[name] = info.default
    if plan.history is not None and isinstance(values.get(plan.history), list):
        values[plan.history] = dspy.History(messages=values[plan.history])
    return ProgramAdapter().format(predictor.signature, list(predictor.demos), values)


def _hostile_inputs(plan: Plan, known: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Real inputs with one of them replaced by what an attacker or an accident might send."""
    base = dict(known[0]) if known else {}
    for field in plan.inputs:
        for value in hostile_values(field, plan):
            yield base | {field.name: value}
        if not field.required:
            yield {name: value for name, value in base.items() if name != field.name}


def _prove_reading(plan: Plan, signature: type[dspy.Signature], replies: Sequence[str]) -> Proof:
    rng = random.Random(0)
    readings = 0
    for number, reply in enumerate(replies[:REPLIES]):
        for text in (reply, *mutations(reply, plan, rng)):
            expected = _adapter_reading(signature, text)
            places = range(len(text) + 1)
            count = MANY_CUTS if text is reply and number < THOROUGH else CUTS
            for cut in places if len(places) <= count else rng.sample(places, count):
                readings += 1
                if _reading(plan, text, cut) != expected:
                    where = f"cut at {cut}, the reply {_shortened(text)} is read differently"
                    return Proof(replies=number + 1, readings=readings, difference=where)
    return Proof(replies=min(len(replies), REPLIES), readings=readings)


def _adapter_reading(signature: type[dspy.Signature], text: str) -> dict[str, Any] | None:
    """The outputs; None where DSPy finds the reply unparseable, as it finds every empty one."""
    try:
        return dict(ProgramAdapter().parse(signature, text)) if text else None
    except AdapterParseError:
        return None


def _reading(plan: Plan, text: str, cut: int) -> dict[str, Any] | None:
    """The same by our reader, fed in two pieces; the deltas of a text must add up to its value."""
    reader = FieldReader(plan.outputs)
    deltas = [*reader.feed(text[:cut]), *reader.feed(text[cut:]), *reader.close()]
    try:
        outputs = reader.outputs()
    except ReplyUnparseable:
        return None
    for field in plan.outputs:
        if field.type == "str":
            outputs[field.name] = _joined(delta.text for delta in deltas if delta.field == field.name)
    return outputs


def _joined(texts: Iterable[str]) -> str:
    return "".join(texts)


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text)} characters)"
