"""/: the releases of every program; what one is, and how it is put into service and taken out."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from compiler import releases as shelf
from compiler.errors import PromotionRefused
from compiler.evaluation.promotion import Terms, judge_promotion
from compiler.report.page import find_evidence, make_report, read_evidence
from compiler.service.errors import RequestInvalid
from compiler.service.office import Office, TheOffice
from compiler.service.pages import GUARDED, render
from compiler.service.shelf import program_shelves
from compiler.tracking.registry import mirror_aliases
from programs.aliases import read_aliases
from programs.errors import ReleaseNotFound

routes = APIRouter(include_in_schema=False)
_log = logging.getLogger(__name__)


@routes.get("/")
async def programs(request: Request, office: TheOffice, told: str = "") -> Response:
    async with office.drawing:
        shelves = await asyncio.to_thread(program_shelves, office.settings.releases)
    return render(request, "programs.html.jinja", shelves=shelves, root=office.settings.releases, told=told)


@routes.get("/releases/{program}/{version}")
async def release(request: Request, office: TheOffice, program: str, version: str) -> Response:
    return await _release(request, office, program, version)


@routes.get("/releases/{program}/{version}/report")
async def report(office: TheOffice, program: str, version: str) -> Response:
    """The report of the release's newest build: a page of its own, without a script."""
    home = shelf.find_release(office.settings.releases, f"{program}@{version}")
    async with office.drawing:
        page = await asyncio.to_thread(lambda: make_report(read_evidence(find_evidence(home))))
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return HTMLResponse(page, headers={**GUARDED, "content-security-policy": policy})


@routes.post("/releases/{program}/{version}/promote")
async def promote(
    request: Request,
    office: TheOffice,
    program: str,
    version: str,
    force: Annotated[bool, Form()] = False,
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Makes it the champion if it is better than the present one; else says why not."""
    root, name = office.settings.releases, f"{program}@{version}"
    if force and not reason.strip():
        raise RequestInvalid("To promote it all the same, give a reason: it is kept beside the alias.")
    try:
        found = "" if force else await asyncio.to_thread(_judged, office, name)
    except PromotionRefused as error:
        return await _release(request, office, program, version, refused=_why(error))
    told = shelf.promote(root, name, f"forced: {reason.strip()}" if force else found)
    await _mirror(office, program)
    return _told_on_programs(f"{told}. {_begun(found)}." if found else f"{told}.")


@routes.post("/releases/{program}/rollback")
async def rollback(office: TheOffice, program: str) -> Response:
    """Makes the champion before the present one champion again."""
    told = shelf.rollback(office.settings.releases, program)
    await _mirror(office, program)
    return _told_on_programs(f"{told}.")


def _judged(office: Office, name: str) -> str:
    return judge_promotion(office.settings.releases, name, Terms(office.settings.compiler.guards))


def _why(refusal: PromotionRefused) -> str:
    """The reason alone: the page says the rest."""
    why = str(refusal).partition("; to promote")[0].partition(" is not promoted: ")[2]
    return _begun(why)


def _begun(sentence: str) -> str:
    return f"{sentence[:1].upper()}{sentence[1:]}"


async def _release(
    request: Request, office: Office, program: str, version: str, refused: str | None = None
) -> Response:
    root = office.settings.releases
    lines = await asyncio.to_thread(lambda: list(shelf.describe_release(root, f"{program}@{version}")))
    aliases = read_aliases(root / program)
    if version not in {path.name for path in (root / program).iterdir()}:
        raise ReleaseNotFound(f"{program!r} has no release {version!r}")
    return render(
        request,
        "release.html.jinja",
        409 if refused else 200,
        program=program,
        version=version,
        lines=lines,
        is_champion=aliases.champion == version,
        held=[name for name in ("champion", "candidate") if getattr(aliases, name) == version],
        refused=refused,
    )


async def _mirror(office: Office, program: str) -> None:
    """MLflow's aliases follow where builds are tracked; that it failed is a line in the log."""
    settings = office.settings
    folder = settings.releases / program
    await asyncio.to_thread(
        mirror_aliases, settings.compiler.mlflow_uri, settings.state, folder, _log.warning
    )


def _told_on_programs(told: str) -> Response:
    return RedirectResponse(f"/?{urlencode({'told': told})}", 303)
