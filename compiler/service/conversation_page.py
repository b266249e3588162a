"""/test: one question, answered by the program as it was written and by a release of it, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import FormData

from compiler.releases import list_releases
from compiler.service.asking import Form, Said, ask, released, turn_of, unoptimised
from compiler.service.errors import ReleaseMissing, RequestInvalid, ServiceError
from compiler.service.office import Office, TheOffice
from compiler.service.pages import GUARDED, fragment, render
from engine.errors import EngineError
from programs.errors import ProgramError

routes = APIRouter(include_in_schema=False)
_MOST_TURNS = 20
_GIVEN = "input."


@dataclass(frozen=True)
class Side:
    """One of the two: what it said, or why it said nothing."""

    title: str
    name: str
    said: Said | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Pair:
    """A release, and its program without it; `plain` is None where the program is not installed."""

    compiled: Form
    plain: Form | None
    why_no_plain: str = ""


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


@routes.post("/test/ask")
async def answer(request: Request, office: TheOffice) -> Response:
    """One more turn of the conversation, which the page itself keeps."""
    form = await request.form()
    name = str(form.get("release", ""))
    if not name:
        raise ReleaseMissing("There is no release to ask: train a program first.")
    pair = await asyncio.to_thread(_pair, office, name)
    given = {key.removeprefix(_GIVEN): str(value) for key, value in form.items() if key.startswith(_GIVEN)}
    earlier = _earlier(form)
    student = str(form.get("student", "")) or None
    sides = await asyncio.gather(
        _side(office, "Unoptimised", pair.plain, (given, earlier.get("plain", ())), student),
        _side(office, "Compiled", pair.compiled, (given, earlier.get("compiled", ())), student),
    )
    shown = fragment(
        "turn.html.jinja",
        question=given.get(pair.compiled.executor.chat.user, ""),
        sides=[side for side in sides if side is not None],
        why_no_plain=pair.why_no_plain,
        turn=_kept(pair, given, sides),
    )
    return HTMLResponse(shown, headers=GUARDED)


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


async def _side(
    office: Office,
    title: str,
    form: Form | None,
    asked: tuple[Mapping[str, str], Sequence[Mapping[str, Any]]],
    student: str | None,
) -> Side | None:
    if form is None:
        return None
    given, turns = asked
    earlier = turns if form.executor.chat.history else ()
    try:
        return Side(title, form.name, await ask(form, given, earlier, office.students, student))
    except RequestInvalid:
        raise
    except (ServiceError, EngineError) as error:
        return Side(title, form.name, problem=str(error))


def _earlier(form: FormData) -> dict[str, list[Mapping[str, Any]]]:
    """The turns so far, of each side; what can't be read was changed by hand and is left out."""
    turns: dict[str, list[Mapping[str, Any]]] = {"plain": [], "compiled": []}
    for kept in form.getlist("turn")[-_MOST_TURNS:]:
        try:
            content = orjson.loads(str(kept))
            for side in turns:
                if isinstance(content.get(side), dict):
                    turns[side].append(content[side])
        except (ValueError, AttributeError):
            continue
    return turns


def _kept(pair: Pair, given: Mapping[str, str], sides: Sequence[Side | None]) -> str:
    forms = (("plain", pair.plain), ("compiled", pair.compiled))
    kept = {
        name: turn_of(form, given, side.said.answer)
        for (name, form), side in zip(forms, sides, strict=True)
        if form is not None and side is not None and side.said is not None
    }
    return orjson.dumps(kept).decode()
