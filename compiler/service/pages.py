"""Templates, and what all pages of the console share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse

from compiler.report import text as report_text
from compiler.service.orders import called

_HERE = Path(__file__).parent
_FILTERS = ("plain", "one_line", "percent", "points", "p_value", "usd", "count", "duration", "moment")
# Nothing comes from another host, and nothing in a page's text can become a script.
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'self'"
GUARDED = {
    "content-security-policy": f"{_POLICY}; form-action 'self'; base-uri 'none'; object-src 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


@cache
def _templates() -> jinja2.Environment:
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in _FILTERS:
        pages.filters[name] = getattr(report_text, name)
    pages.filters["called"] = called
    return pages


def fragment(template: str, **values: Any) -> str:
    return _templates().get_template(template).render(**values)


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page; `has_key` says whether one came in by a key, and so can go out again."""
    office = getattr(request.app.state, "office", None)
    told = {"path": request.url.path, "has_key": office is not None and office.session is not None, **values}
    return HTMLResponse(fragment(template, **told), status, GUARDED)


def render_error(request: Request, status: int, error: Mapping[str, Any]) -> HTMLResponse:
    """A page of its own, or a piece of one where a script of ours asked."""
    if "x-fragment" in request.headers:
        return HTMLResponse(fragment("problem.html.jinja", error=error), status, GUARDED)
    return render(request, "error.html.jinja", status, error=error)
