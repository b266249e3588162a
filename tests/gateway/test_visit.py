"""Tests for gateway/visit.py: observers are told of every request once, however it ended."""

from __future__ import annotations

import httpx

from engine.settings_access import CapSettings
from gateway.errand import Errand
from gateway.errors import RequestInvalid
from gateway.metrics import Metrics
from gateway.routes import Endpoint, Reception
from gateway.visit import Visit


class Notebook:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.visits: list[Visit] = []

    def finished(self, visit: Visit) -> None:
        self.visits.append(visit)


async def _refused(body: bytes, visit: Visit) -> Errand:
    raise RequestInvalid("No request is good enough here.")


async def _broken(body: bytes, visit: Visit) -> Errand:
    raise ZeroDivisionError


async def _visit(endpoint: Endpoint) -> int:
    transport = httpx.ASGITransport(endpoint)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return (await client.post("/v1/chat/completions", content=b"{}")).status_code


async def test_every_observer_is_told_of_a_refused_request() -> None:
    one, other = Notebook(), Notebook()
    endpoint = Endpoint(_refused, Reception(Metrics(), CapSettings(), (one, other)))
    assert await _visit(endpoint) == 400
    (visit,) = one.visits
    assert (visit.path, visit.status, visit.errand) == ("/v1/chat/completions", 400, None)
    assert isinstance(visit.error, RequestInvalid) and visit.seconds > 0
    assert other.visits == one.visits


async def test_a_request_that_failed_inside_is_told_too() -> None:
    notebook = Notebook()
    assert await _visit(Endpoint(_broken, Reception(Metrics(), CapSettings(), (notebook,)))) == 500
    assert [visit.status for visit in notebook.visits] == [500]
