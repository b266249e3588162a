"""/status: jobs, engines, the gateway's traffic, money spent and saved."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from compiler.gateway_metrics import metrics_url
from compiler.models import Survey, survey
from compiler.service.jobs import Standing
from compiler.service.office import Office, TheOffice
from compiler.service.pages import GUARDED, fragment, render
from compiler.service.traffic import Traffic, read_traffic

routes = APIRouter(include_in_schema=False)
_MOST_JOBS = 20


@routes.get("/status")
async def show(request: Request, office: TheOffice) -> Response:
    return render(request, "status.html.jinja", **await _view(office))


@routes.get("/status/now")
async def now(office: TheOffice) -> Response:
    """The part of the page that changes by itself."""
    return HTMLResponse(fragment("status_now.html.jinja", **await _view(office)), headers=GUARDED)


async def _view(office: Office) -> dict[str, Any]:
    url = metrics_url(office.settings.gateway)
    found: Survey
    traffic: Traffic
    found, traffic = await asyncio.gather(survey(office.settings, {}), read_traffic(url))
    standings = await office.dispatch.standings()
    return {
        "jobs": standings[:_MOST_JOBS],
        "more_jobs": max(0, len(standings) - _MOST_JOBS),
        "served": found.served,
        "silent": found.silent,
        "hosted": found.hosted,
        "traffic": traffic,
        "built_usd": _spent(standings),
        "unpriced": sum(
            one.progress.spent is not None and one.progress.spent.usd is None for one in standings
        ),
    }


def _spent(standings: list[Standing]) -> float:
    """On builds whose price is known."""
    amounts = (one.progress.spent.usd for one in standings if one.progress.spent is not None)
    return sum(amount for amount in amounts if amount is not None)
