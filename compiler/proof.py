"""Proves a lowering: the plan renders and reads byte for byte what DSPy's adapter renders and reads.

Rendering is checked on every example and on hostile inputs; reading on replies that the build recorded and on
mutations of them, each arriving whole and in two pieces. One difference makes the release interpreted. Of
neighbours and ensembles every plan they can be made of is proven.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError
from pydantic import TypeAdapter
from pydantic_core import PydanticUndefined

from compiler.candidate import PLAIN, Candidate, EnsembleCandidate, NeighbourCandidate
from compiler.errors import ProgramUnusable
from compiler.hostility import hostile_values, mutations
from compiler.lowering import FORMS, Form, interpreted, lower_form, sole_predictor
from compiler.scoring import request_inputs
from programs.adapter import ProgramAdapter
from programs.ensemble import Ensemble
from programs.errors import LoweringImpossible, ReplyUnparseable
from programs.execution import Executor, PlanExecutor
from programs.module_state import dump_state
from programs.neighbours import Neighbours
from programs.plain_values import plain_outputs
from programs.plan import Plan, render
from programs.program import Program
from programs.reader import FieldReader
from programs.release import Kind
from programs.tool_objects import given_tools

REPLIES = 20  # recorded replies that are mutated and read
THOROUGH = 4  # of them, those that are cut at every place, or at MANY_CUTS
MANY_CUTS = 500
CUTS = 16  # places where any other text is cut
REHEARSED = 50  # examples on which a lowering is tried before anything is paid for

_Case = tuple[Plan, dspy.Predict, Mapping[str, Any]]
"""A prompt by both: ours, DSPy's, and the inputs."""


@dataclass(frozen=True)
class Proof:
    """How much was checked, and the first difference where there is one."""

    rendered: int = 0
    replies: int = 0
    readings: int = 0
    difference: str | None = None


@dataclass(frozen=True)
class Lowered:
    """What will be served: data that was proven, or DSPy's module and the reason why."""

    executor: Executor
    kind: Kind
    content: dict[str, Any]
    """The body of the release; JSON holds it unless a demonstration does not fit in there."""
    plan: Plan | None
    """Of neighbours the one without demonstrations, of an ensemble the first; None if interpreted."""
    reason: str | None
    proof: Proof | None


def lower_proven(
    subject: tuple[Program, dspy.Module],
    candidate: Candidate,
    context_tokens: int | None,
    examples: Sequence[dspy.Example],
    replies: Sequence[str],
) -> Lowered:
    """The candidate as data where that is proven; else it is interpreted, with the reason.

    Raises:
        ProgramUnusable: it can't be lowered and is more than one prompt, so it can't be interpreted either.
    """
    program, module = subject
    try:
        form = lower_form(module, program, candidate, context_tokens)
    except LoweringImpossible as error:
        return _interpreted(subject, candidate, str(error), None)
    kind, write, read, run = FORMS[type(form)]
    content = write(form)
    # Through its file's form, whose keys are sorted, since that is what will be served.
    form = read(json.loads(json.dumps(content, sort_keys=True)))
    proof = prove_form(form, module, candidate, examples, replies)
    if proof.difference is not None:
        reason = f"the proof of its lowering failed: {proof.difference}"
        return _interpreted(subject, candidate, reason, proof)
    executor = run(form)
    return Lowered(executor, kind, content, _plan_of(form), None, proof)


def require_plan(subject: tuple[Program, dspy.Module], examples: Sequence[dspy.Example], asked: str) -> None:
    """Raises ProgramUnusable when what optimiser `asked` makes could not be released; asks no model."""
    program, _ = subject
    lowered = lower_proven(subject, PLAIN, None, examples[:REHEARSED], [])
    if lowered.plan is None:
        raise ProgramUnusable(
            f"{asked} can't optimise program {program.name!r}, it needs one that is a constant prompt: "
            f"{lowered.reason}; BootstrapFewShotWithRandomSearch optimises any program"
        )


def prove_form(
    form: Form,
    module: dspy.Module,
    candidate: Candidate,
    examples: Sequence[dspy.Example],
    replies: Sequence[str],
) -> Proof:
    """Checks every prompt that the form can be made of: each member's, each demonstration's."""
    match form, candidate:
        case Neighbours(), NeighbourCandidate():
            return _prove_neighbours(form, module, candidate, examples, replies)
        case Ensemble(), EnsembleCandidate():
            rendered = 0
            for plan, member in zip(form.members, candidate.members, strict=True):
                # The members' replies are read alike: once is enough.
                heard = replies if plan is form.members[-1] else []
                proof = prove(plan, sole_predictor(member.applied_to(module)), examples, heard)
                rendered += proof.rendered
                if proof.difference is not None:
                    break
            return replace(proof, rendered=rendered)
        case _:
            return prove(_plan_of(form), sole_predictor(candidate.applied_to(module)), examples, replies)


def prove(
    plan: Plan, predictor: dspy.Predict, examples: Sequence[dspy.Example], replies: Sequence[str]
) -> Proof:
    """Checks rendering, then reading; stops at the first difference."""
    rendered = _prove_rendering((plan, predictor, inputs) for inputs in _inputs(plan, examples))
    if rendered.difference is not None:
        return rendered
    read = _prove_reading(plan, predictor.signature, replies)
    return replace(read, rendered=rendered.rendered)


def _prove_neighbours(
    neighbours: Neighbours,
    module: dspy.Module,
    candidate: NeighbourCandidate,
    examples: Sequence[dspy.Example],
    replies: Sequence[str],
) -> Proof:
    """Every input and every demonstration at least once, as many together as a request is shown."""
    predictor = sole_predictor(candidate.applied_to(module))
    inputs = list(_inputs(neighbours.plan, examples))
    size, step = len(candidate.pool), candidate.demo_count
    shown = [range(start, min(start + step, size)) for start in range(0, size, step)]

    def cases() -> Iterator[_Case]:
        for number in range(max(len(inputs), len(shown))):
            chosen = shown[number % len(shown)]
            predictor.demos = [dspy.Example(**candidate.pool[index]) for index in chosen]
            yield neighbours.plan_showing(chosen), predictor, inputs[number % len(inputs)]

    rendered = _prove_rendering(cases())
    if rendered.difference is not None:
        return rendered
    return replace(_prove_reading(neighbours.plan, predictor.signature, replies), rendered=rendered.rendered)


def _interpreted(
    subject: tuple[Program, dspy.Module], candidate: Candidate, reason: str, proof: Proof | None
) -> Lowered:
    program, module = subject
    if isinstance(candidate, NeighbourCandidate | EnsembleCandidate):
        raise ProgramUnusable(
            f"candidate {candidate.name!r} of program {program.name!r} can't be released, because it is no "
            f"constant prompt: {reason}; use BootstrapFewShotWithRandomSearch"
        )
    compiled = candidate.applied_to(module)
    state = dump_state(compiled)
    return Lowered(interpreted(compiled, program), "interpreted", state, None, reason, proof)


def _plan_of(form: Form) -> Plan:
    if isinstance(form, Ensemble):
        return form.members[0]
    return form.plan if isinstance(form, Neighbours) else form


def _inputs(plan: Plan, examples: Sequence[dspy.Example]) -> Iterator[Mapping[str, Any]]:
    """Those of the examples, then hostile ones."""
    executor = PlanExecutor(plan)
    known = [request_inputs(executor, example) for example in examples]
    yield from known
    yield from _hostile_inputs(plan, known)


def _prove_rendering(cases: Iterable[_Case]) -> Proof:
    count = 0
    for plan, predictor, inputs in cases:
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
    types = {field.name for field in plan.inputs if field.type in ("json", "enum")}
    for name in types & values.keys():
        declared: TypeAdapter[Any] = TypeAdapter(predictor.signature.input_fields[name].annotation)
        values[name] = declared.validate_python(values[name])
    values = given_tools(plan.inputs, values)
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
        return plain_outputs(ProgramAdapter().parse(signature, text)) if text else None
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
