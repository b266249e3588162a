"""/login: the admin key given once, a session kept by the browser instead of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from compiler.service.door import COOKIE
from compiler.service.office import TheOffice
from compiler.service.pages import render

routes = APIRouter(include_in_schema=False)


@routes.get("/login")
async def show(request: Request, next: str = "/") -> Response:
    return render(request, "login.html.jinja", next=_inner(next), wrong=False)


@routes.post("/login")
async def enter(
    request: Request, office: TheOffice, key: Annotated[str, Form()], next: Annotated[str, Form()] = "/"
) -> Response:
    session = office.session
    if session is None or not session.is_key(key.strip()):
        return render(request, "login.html.jinja", 401, next=_inner(next), wrong=True)
    answer = RedirectResponse(_inner(next), 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(
        COOKIE, session.token, httponly=True, samesite="strict", secure=secure, max_age=7 * 86_400
    )
    return answer


@routes.post("/logout")
async def leave() -> Response:
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE)
    return answer


@routes.get("/healthz")
async def health() -> JSONResponse:
    return JSONResponse({"status": "ok"})


def _inner(path: str) -> str:
    """Only a page of ours: `//elsewhere` would be another site."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
