"""The application: what is shared is made here, lives as long as it and is closed with it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import Response

from compiler.service import (
    conversation_page,
    dspy_api,
    jobs_api,
    login_page,
    programs_page,
    status_page,
    train_page,
)
from compiler.service.dispatch import Dispatch
from compiler.service.door import Door, Session
from compiler.service.errors import SENTENCES, ServiceError, status_and_code
from compiler.service.folders import Folders
from compiler.service.jobs import JobShelf
from compiler.service.office import Office
from compiler.service.pages import render_error
from compiler.service.places import Place, ThisMachine
from compiler.service.ray_jobs import RayCluster
from compiler.service.students import Students
from engine.settings import Settings
from engine.settings_console import ConsoleSettings
from programs.errors import DataInvalid

_HERE = Path(__file__).parent
_log = logging.getLogger(__name__)


def create_app(settings: Settings, config: Sequence[str] = (), place: Place | None = None) -> FastAPI:
    """`config` are the words by which a build reads the same settings as this server."""
    console = settings.console
    session = None if console.admin_key_sha256 is None else Session(console.admin_key_sha256)
    folders = Folders(console.folders, console.programs, settings.state / "uploads", settings.releases)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        dispatch = Dispatch(JobShelf(settings.state), place or _place(console), tuple(config))
        students = Students(settings)
        app.state.office = Office(settings, folders, dispatch, students, session)
        try:
            async with dispatch.working(console.builds_at_once):
                yield
        finally:
            await students.close()

    app = FastAPI(title="Smallforge compiler", lifespan=lifespan, docs_url=None, redoc_url=None)
    for part in (dspy_api, jobs_api, login_page, programs_page, train_page, conversation_page, status_page):
        app.include_router(part.routes)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    for kind in (*SENTENCES, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, _answer)
    app.add_middleware(Door, session=session, refuse=_refusal, most_mb=console.max_upload_mb)
    return app


def _place(console: ConsoleSettings) -> Place:
    return ThisMachine() if console.ray is None else RayCluster(console.ray, console.ray_key)


async def _answer(request: Request, error: Exception) -> Response:
    """Every error as one sentence with a code: JSON for programs, a page for people."""
    status, body = _told(request, error)
    if request.url.path.startswith("/api/"):
        return JSONResponse(body, status)
    return render_error(request, status, body["error"])


def _told(request: Request, error: Exception) -> tuple[int, dict[str, Any]]:
    if isinstance(error, RequestValidationError):
        return 422, _body("request_invalid", _first_mistake(error.errors()[0]))
    if isinstance(error, HTTPException):
        method, path = request.method, request.url.path
        code, sentence = {
            404: ("not_found", f"There is nothing at {path!r}."),
            405: ("method_not_allowed", f"{path!r} does not take {method}."),
        }.get(error.status_code, ("refused", f"{error.detail}."))
        return error.status_code, _body(code, sentence)
    known = status_and_code(error)
    if known is None:
        _log.error("a request failed", exc_info=error)
        return 500, _body("internal_error", "The server failed; its log says why.")
    mistakes = error.mistakes if isinstance(error, DataInvalid) else ()
    return known[0], _body(known[1], _sentence(str(error)), mistakes)


def _first_mistake(found: Mapping[str, Any]) -> str:
    """In a request's body or its headers, as pydantic found it."""
    if found["type"] == "json_invalid":
        return f"The body is not JSON: {found['ctx']['error']}."
    where = ".".join(str(part) for part in found["loc"] if part != "body")
    if not where:
        return "The body has to be a JSON object, sent as application/json."
    return f"{where}: {found['msg'][0].lower()}{found['msg'][1:]}."


def _sentence(told: str) -> str:
    """With a capital, unless it begins with a name, and a full stop."""
    first = told.partition(" ")[0]
    begun = told if "." in first or "_" in first else f"{told[:1].upper()}{told[1:]}"
    return begun if begun.endswith((".", "!", "?")) else f"{begun}."


def _refusal(error: ServiceError) -> Response:
    return JSONResponse(_body(error.code, str(error)), error.status)


def _body(code: str, message: str, mistakes: Sequence[str] = ()) -> dict[str, Any]:
    more = {"mistakes": list(mistakes)} if mistakes else {}
    return {"status": "error", "error": {"message": message, "code": code, **more}}
