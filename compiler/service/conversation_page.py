"""/test: one question, answered by the program as it was written and by a release of it, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.datastructures import FormData

from compiler.releases import list_releases
from compiler.service.asking import released, turn_of, unoptimised
from compiler.service.errors import ReleaseMissing
from compiler.service.office import Office, TheOffice
from compiler.service.pages import fragment, render
from compiler.service.turn import TITLES, Ended, Pair, Place, Side, answers, sides_of
from programs.errors import ProgramError
from programs.reader import FieldDelta

routes = APIRouter(include_in_schema=False)
_MOST_TURNS = 20
_GIVEN = "input."


@routes.get("/test")
async def show(request: Request, office: TheOffice, release: str = "") -> Response:
    """A field for each input of the chosen release, by default the first champion."""
    shelved = await asyncio.to_thread(list_releases, office.settings.releases)
    usable = [one for one in shelved if one.problem is None]
    champions = [one.name for one in usable if "champion" in one.aliases]
    name = release or next(iter(champions or [one.name for one in usable]), "")
    pair = await asyncio.to_thread(_pair, office, name) if name else None
    return render(
        request,
        "test.html.jinja",
        releases=usable,
        chosen=pair.compiled.name if pair else "",
        fields=pair.compiled.fields() if pair else [],
        chat=pair.compiled.executor.chat if pair else None,
        students=office.students.names(),
        pair=pair,
    )


@dataclass(frozen=True)
class Question:
    """One more turn of the conversation, which the page itself keeps."""

    text: str
    given: Mapping[str, str]
    sides: list[Side]
    student: str | None
    why_no_plain: str


async def _question(request: Request, office: TheOffice) -> Question:
    """Read before the stream begins, so that a mistake in it gets a status of its own."""
    form = await request.form()
    name = str(form.get("release", ""))
    if not name:
        raise ReleaseMissing("There is no release to ask: train a program first.")
    pair = await asyncio.to_thread(_pair, office, name)
    given = {key.removeprefix(_GIVEN): str(value) for key, value in form.items() if key.startswith(_GIVEN)}
    return Question(
        text=given.get(pair.compiled.executor.chat.user, ""),
        given=given,
        sides=sides_of(pair, given, _earlier(form)),
        student=office.students.check(str(form.get("student", ""))),
        why_no_plain=pair.why_no_plain,
    )


@routes.post("/test/ask", response_class=EventSourceResponse)
async def answer(
    question: Annotated[Question, Depends(_question)], office: TheOffice
) -> AsyncIterator[ServerSentEvent]:
    """The turn without its answers, then pieces of it: texts as they are made, each side once it has ended.

    The last event says that all is told. Where it is missing, the stream was broken off.
    """
    yield _event("turn", html=fragment("turn.html.jinja", question=question))
    kept: dict[Place, Mapping[str, Any]] = {}
    async with aclosing(answers(question.sides, office.students, question.student)) as pieces:
        async for side, piece in pieces:
            if isinstance(piece, FieldDelta):
                yield _event("text", part=f"{side.place}.{piece.field}", text=piece.text)
                continue
            if piece.said is not None:
                kept[side.place] = turn_of(side.form, question.given, piece.said.answer)
            yield _event(
                "part", part=side.place, html=fragment("side.html.jinja", ended=piece), heard=_heard(piece)
            )
    yield _event("part", part="kept", html=fragment("kept.html.jinja", turn=orjson.dumps(kept).decode()))
    yield _event("over")


def _event(name: str, **data: str) -> ServerSentEvent:
    return ServerSentEvent(event=name, data=data)


def _heard(ended: Ended) -> str:
    """The side as a screen reader says it: once, when it is whole."""
    if ended.said is None:
        return f"{ended.side.title}: {ended.problem}"
    return f"{ended.side.title} answers: {ended.said.answer or 'nothing'}"


def _pair(office: Office, name: str) -> Pair:
    """Raises ReleaseNotFound, ReleaseInvalid."""
    root, tables = office.settings.releases, office.settings.tables
    compiled = released(root, name, tables)
    program = compiled.name.partition("@")[0]
    try:
        return Pair(compiled, unoptimised(_file_of(office, program), tables))
    except ProgramError as error:
        return Pair(compiled, None, f"The unoptimised program can't be asked: {error}.")


def _file_of(office: Office, program: str) -> str:
    """A program of one's own is known by its file, which is called as it is."""
    files = office.folders.program_files()
    return next((path for path in files if path.rpartition("/")[2] == f"{program}.py"), program)


def _earlier(form: FormData) -> dict[Place, list[Mapping[str, Any]]]:
    """The turns so far, of each side; what can't be read was changed by hand and is left out."""
    turns: dict[Place, list[Mapping[str, Any]]] = {place: [] for place in TITLES}
    for kept in form.getlist("turn")[-_MOST_TURNS:]:
        try:
            content = orjson.loads(str(kept))
            for place in turns:
                if isinstance(content.get(place), dict):
                    turns[place].append(content[place])
        except (ValueError, AttributeError):
            continue
    return turns
