"""/train and /jobs: rows checked line by line, a build estimated, started, watched, cancelled and resumed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from math import inf
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from compiler.optimizers.table import OPTIMIZERS
from compiler.report.charts import search_progress
from compiler.request import DEFAULT_OPTIMIZER
from compiler.service.errors import RequestInvalid
from compiler.service.jobs import Standing
from compiler.service.jobs_api import Asked, order_of
from compiler.service.office import KnownJob, Office, TheOffice
from compiler.service.orders import called, command_of
from compiler.service.pages import GUARDED, fragment, render
from compiler.service.progress import Progress
from compiler.service.rows import check_rows, keep_upload
from programs.loading import list_programs

routes = APIRouter(include_in_schema=False)
_LOOK = 0.4  # seconds between two looks at a job
_REDRAW = 2.0  # seconds between two drawings of its chart
_SHOWN_LINES = 300
_MOST_MISTAKES = 50


@routes.get("/train")
async def show(request: Request, office: TheOffice, program: str = "") -> Response:
    names = [*(one.name for one in list_programs()), *office.folders.program_files()]
    wanted = program or office.settings.console.program
    return render(
        request,
        "train.html.jinja",
        programs=names,
        chosen=next((name for name in names if wanted in (name, called(name))), names[0]),
        students=office.students.names(),
        teachers=office.students.teachers(),
        optimizers=list(OPTIMIZERS),
        default_optimizer=DEFAULT_OPTIMIZER,
        most_mb=office.settings.console.max_upload_mb,
        jobs=(await office.dispatch.standings())[:8],
    )


@routes.post("/train/rows")
async def rows(
    office: TheOffice, program: Annotated[str, Form()], file: Annotated[UploadFile, File()]
) -> Response:
    """Keeps the file and says of every line whether the program can take it."""
    name = office.folders.program(program)
    path = await keep_upload(file, office.folders.uploads, office.settings.console.max_upload_mb)
    checked = await asyncio.to_thread(check_rows, name, path)
    shown = fragment(
        "rows.html.jinja",
        checked=checked,
        mistakes=checked.mistakes[:_MOST_MISTAKES],
        more=max(0, len(checked.mistakes) - _MOST_MISTAKES),
        file=path.name,
        path=str(path) if not checked.mistakes else "",
    )
    return HTMLResponse(shown, 422 if checked.mistakes else 200, GUARDED)


class OrderForm(BaseModel):
    """The second step of the page; what is left empty is left open."""

    program: str
    optimizer: str = DEFAULT_OPTIMIZER
    student: str = ""
    teacher: str = ""
    data: str = ""
    ceiling: str = ""


@routes.post("/train")
async def order(office: TheOffice, form: Annotated[OrderForm, Form()]) -> Response:
    """A job that asks the first questions and tells what the build will take; it begins by a second step."""
    asked = Asked(
        program=form.program,
        optimizer=form.optimizer,
        student=form.student or None,
        teacher=form.teacher or None,
        data=form.data or None,
        max_usd=_usd(form.ceiling),
    )
    standing = await office.dispatch.add(order_of(asked, office), "console", estimate=True)
    return RedirectResponse(f"/jobs/{standing.job.id}", 303)


@routes.get("/jobs/{job_id}")
async def job(request: Request, office: TheOffice, job_id: str) -> Response:
    standing = await office.dispatch.standing(job_id)
    return render(request, "job.html.jinja", **await _view(office, standing))


@routes.post("/jobs/{job_id}/{verb}")
async def change(office: TheOffice, job_id: str, verb: str) -> Response:
    changes = {
        "start": office.dispatch.resume,
        "resume": office.dispatch.resume,
        "cancel": office.dispatch.cancel,
    }
    if verb not in changes:
        raise RequestInvalid(f"nothing of a job is called {verb!r}: start, resume or cancel it")
    await changes[verb](job_id)
    return RedirectResponse(f"/jobs/{job_id}", 303)


@routes.get("/jobs/{job_id}/live", response_class=EventSourceResponse)
async def live(job_id: KnownJob, office: TheOffice) -> AsyncIterator[ServerSentEvent]:
    """The pieces of the job's page that have changed; the last event says that it is over."""
    sent: dict[str, str] = {}
    drawn_at, drawn_of, began = 0.0, -1, (await office.dispatch.standing(job_id)).state
    while True:
        standing = await office.dispatch.standing(job_id)
        pieces = {"standing": _piece("standing", standing), "log": _piece("log", standing)}
        count = len(standing.progress.candidates)
        if count != drawn_of and time.monotonic() - drawn_at > _REDRAW:
            pieces["chart"] = await _chart(office, standing.progress)
            drawn_at, drawn_of = time.monotonic(), count
        for name, piece in pieces.items():
            if sent.get(name) != piece:
                sent[name] = piece
                yield ServerSentEvent(event=name, data=piece)
        if not standing.under_way:
            # What can be done now is another part of the page than what was watched.
            yield ServerSentEvent(event="over", data={"reload": began != standing.state})
            return
        await asyncio.sleep(_LOOK)


def _usd(given: str) -> float | None:
    """Raises RequestInvalid: it is no sum."""
    if not given.strip():
        return None
    try:
        amount = float(given)
    except ValueError:
        amount = -1.0
    if not 0 <= amount < inf:
        raise RequestInvalid(f"{given!r} is no sum of USD: write for example 0.50")
    return amount


async def _view(office: Office, standing: Standing) -> dict[str, Any]:
    return {
        "standing": standing,
        "job": standing.job,
        "progress": standing.progress,
        "command": command_of(standing.job.order),
        "chart": await _chart(office, standing.progress),
        "lines": standing.progress.log[-_SHOWN_LINES:],
    }


def _piece(name: str, standing: Standing) -> str:
    lines = standing.progress.log[-_SHOWN_LINES:]
    return fragment(f"job_{name}.html.jinja", standing=standing, progress=standing.progress, lines=lines)


async def _chart(office: Office, progress: Progress) -> str:
    """Every candidate so far; nothing for fewer than two."""
    candidates = [
        {
            "name": one.scored.name,
            "score": one.scored.score,
            "n": one.scored.n,
            "dropped": one.scored.dropped,
            "calls": one.calls,
            "order": number,
        }
        for number, one in enumerate(progress.candidates, 1)
    ]
    best = max(
        (one for one in progress.candidates if one.scored.best),
        key=lambda one: one.scored.score,
        default=None,
    )
    async with office.drawing:
        drawn = await asyncio.to_thread(search_progress, candidates, "" if best is None else best.scored.name)
    return drawn or ""
