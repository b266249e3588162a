"""Asks a program, unoptimised or as a release, through the executor that the gateway serves it with."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from compiler.candidate import PLAIN
from compiler.charge import charge_by
from compiler.evaluation.conversation import Meter, Took
from compiler.evaluation.serving_form import serving_form
from compiler.lowering import executor
from compiler.releases import find_release
from compiler.service.errors import RequestInvalid, Unanswered
from compiler.service.students import Students
from engine.errors import EngineUnreachable
from engine.prices import price_of
from programs.aliases import read_aliases
from programs.errors import CheckFailed, InputInvalid, ReplyUnparseable
from programs.execution import Delta, Executor, Outcome, Reply
from programs.loading import blamed_on, load_program
from programs.plan import Field
from programs.reader import FieldDelta, parse_value
from programs.release import read_release
from programs.verses import verse_adder

_TOOLS = ("tools", "tool")


@dataclass(frozen=True)
class Form:
    """A program ready to be asked: its name with its version, and on which student by itself."""

    name: str
    executor: Executor
    student: str | None = None
    tables: Path | None = None

    def fields(self) -> list[Field]:
        """What a person gives; earlier turns come by themselves."""
        history = self.executor.chat.history
        return [one for one in self.executor.inputs if one.name != history and one.type not in _TOOLS]


class Times(NamedTuple):
    """Seconds from the question to the first text that was shown, and to the end."""

    first: float
    whole: float


@dataclass(frozen=True)
class Said:
    """An answer and what it took; `outputs` are all of the program's as texts."""

    answer: str
    outputs: Mapping[str, str]
    took: Took
    times: Times
    prompt: Sequence[Mapping[str, Any]]
    student: str
    complete: bool = True


class Witness(Meter):
    """Counts what it takes, and keeps the messages of the first call as they are sent."""

    prompt: Sequence[Mapping[str, Any]] = ()

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        self._see(messages)
        return await super().complete(messages, params)

    def stream(self, messages: Sequence[object], params: Mapping[str, object]) -> AsyncGenerator[Delta]:
        self._see(messages)
        return super().stream(messages, params)

    def _see(self, messages: Sequence[object]) -> None:
        if not self.prompt:
            self.prompt = orjson.loads(orjson.dumps(list(messages)))


def unoptimised(name: str, tables: Path | None) -> Form:
    """The program as its author wrote it.

    Raises:
        ProgramNotFound, ProgramInvalid
    """
    program = load_program(name)
    with blamed_on(program):
        module = program.make_module()
    return Form(program.name, executor(module, program, PLAIN), None, tables)


def released(root: Path, name: str, tables: Path | None) -> Form:
    """A release by its name: `program`, `program@candidate` or `program@version`.

    Raises:
        ReleaseNotFound, ReleaseInvalid, ProgramNotFound
    """
    release = read_release(find_release(root, name))
    return Form(release.name, serving_form(release), release.identity.student, tables)


def champion_or_plain(root: Path, program: str, tables: Path | None) -> Form:
    """The program's champion; where it has none yet, the program itself."""
    name = load_program(program).name if program.endswith(".py") else program
    if (root / name).is_dir() and read_aliases(root / name).champion:
        return released(root, name, tables)
    return unoptimised(program, tables)


async def ask(
    form: Form,
    given: Mapping[str, str],
    turns: Sequence[Mapping[str, Any]],
    students: Students,
    name: str | None,
) -> Said:
    """The whole answer. `turns` are earlier ones as the program's history holds them.

    Raises:
        RequestInvalid: as `inputs_of` and `answering` do.
        Unanswered, EngineError: as `answering` does.
    """
    async with aclosing(answering(form, inputs_of(form, given, turns), students, name)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Said):
                return piece
    raise Unanswered(f"{form.name!r} ended without an answer")


async def answering(
    form: Form, inputs: Mapping[str, Any], students: Students, name: str | None
) -> AsyncGenerator[FieldDelta | Said]:
    """The outputs' texts as they are made, then the whole answer.

    Raises:
        RequestInvalid: the program can't be asked with these inputs.
        Unanswered: the answer can't be read, or breaks a check of the program.
        EngineError: the student can't be asked.
    """
    name = name or form.student
    student = await students.student(name)
    witness = Witness(student.client, charge_by(price_of(student.engine)))
    begun, first = time.monotonic(), None
    try:
        async with aclosing(form.executor.stream(inputs, witness, {})) as pieces:
            async for piece in pieces:
                if first is None:
                    first = time.monotonic() - begun
                if isinstance(piece, Outcome):
                    times = Times(first, time.monotonic() - begun)
                    yield _said(form, piece, witness, times, student.engine.model or student.name)
                else:
                    yield piece
    except InputInvalid as error:
        raise RequestInvalid(str(error)) from error
    except (ReplyUnparseable, CheckFailed) as error:
        raise Unanswered(f"the answer of {form.name!r} can't be used: {error}") from error
    except EngineUnreachable:
        await students.forget(name)
        raise


def turn_of(form: Form, given: Mapping[str, str], said: str) -> Mapping[str, Any]:
    """What the program's history holds of a turn."""
    chat = form.executor.chat
    return {chat.user: given.get(chat.user, ""), chat.answer: said}


def inputs_of(form: Form, given: Mapping[str, str], turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the program is given: each text as a value of its input.

    Raises:
        RequestInvalid: an input is unknown, missing or no value of its kind.
    """
    chat = form.executor.chat
    unknown = set(given) - {field.name for field in form.executor.inputs}
    if unknown:
        raise RequestInvalid(f"{form.name!r} takes no {', '.join(sorted(map(repr, unknown)))}")
    values: dict[str, Any] = {}
    for one in form.fields():
        text = given.get(one.name, "")
        if text.strip():
            values[one.name] = _parsed(one, text)
    if chat.history is not None:
        values[chat.history] = list(turns)
    values = verse_adder(chat, form.tables)(values)
    missing = [one.name for one in form.fields() if one.required and one.name not in values]
    if missing:
        raise RequestInvalid(f"{form.name!r} needs {', '.join(map(repr, missing))}")
    return values


def _parsed(field: Field, text: str) -> Any:
    try:
        return parse_value(field, text)
    except ReplyUnparseable as error:
        kind = " or ".join(map(repr, field.choices)) or field.type
        raise RequestInvalid(f"the input {field.name!r} must be {kind}") from error


def _said(form: Form, outcome: Outcome, witness: Witness, times: Times, student: str) -> Said:
    outputs = {name: _text(value) for name, value in outcome.outputs.items()}
    answer = outputs.get(form.executor.chat.answer, "")
    return Said(answer, outputs, witness.took(), times, witness.prompt, student, outcome.complete)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
