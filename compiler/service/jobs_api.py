"""/api/jobs: builds ordered, followed, cancelled, resumed and read by another program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Response
from fastapi.responses import PlainTextResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field

from compiler.events import BuildResult
from compiler.optimizers.table import make_optimizer
from compiler.request import DEFAULT_OPTIMIZER
from compiler.service.errors import JobBusy
from compiler.service.jobs import Standing
from compiler.service.office import KnownJob, Office, TheOffice
from compiler.service.orders import Order, command_of

routes = APIRouter(prefix="/api/jobs", tags=["jobs"])
_LOOK = 0.25  # seconds between two looks at an event file
_LONGEST_LOG = 1_000_000  # bytes, from its end


class Asked(BaseModel):
    """A build. Paths lie in folders that the server names; models are named as in its configuration."""

    model_config = ConfigDict(extra="forbid")

    program: str
    data: str | None = None
    dev: str | None = None
    test: str | None = None
    student: str | None = None
    teacher: str | None = None
    proposer: str | None = None
    optimizer: str = DEFAULT_OPTIMIZER
    arguments: dict[str, Any] = {}
    seed: int = 0
    max_usd: Annotated[float, Field(ge=0)] | None = None
    max_calls: Annotated[int, Field(ge=1)] | None = None
    max_minutes: Annotated[float, Field(ge=0)] | None = None
    save_path: str | None = None
    estimate: bool = False
    """Ends when it is told what the build will take; resuming the job builds."""


def order_of(asked: Asked, office: Office) -> Order:
    """The order, with every path and every name checked.

    Raises:
        PathRefused, ProgramNotFound, RequestInvalid, UserMistake
    """
    make_optimizer(asked.optimizer, asked.arguments)
    folders, students = office.folders, office.students

    def rows(given: str | None) -> Path | None:
        return None if given is None else folders.rows(given)

    return Order(
        program=folders.program(asked.program),
        data=rows(asked.data),
        dev=rows(asked.dev),
        test=rows(asked.test),
        student=students.check(asked.student),
        teacher=students.check(asked.teacher),
        proposer=students.check(asked.proposer),
        optimizer=asked.optimizer,
        arguments=asked.arguments,
        seed=asked.seed,
        max_usd=asked.max_usd,
        max_calls=asked.max_calls,
        max_minutes=asked.max_minutes,
        releases=None if asked.save_path is None else folders.saves(asked.save_path),
    )


@routes.get("")
async def list_jobs(office: TheOffice) -> dict[str, Any]:
    """All jobs, the newest first."""
    return {"jobs": [as_dict(standing) for standing in await office.dispatch.standings()]}


@routes.post("", status_code=201)
async def start_job(asked: Asked, office: TheOffice) -> dict[str, Any]:
    """A new job; it waits where as many as allowed run."""
    order = order_of(asked, office)
    return as_dict(await office.dispatch.add(order, "jobs", estimate=asked.estimate))


@routes.get("/{job_id}")
async def show_job(job_id: str, office: TheOffice) -> dict[str, Any]:
    return as_dict(await office.dispatch.standing(job_id))


@routes.post("/{job_id}/cancel")
async def cancel_job(job_id: str, office: TheOffice) -> dict[str, Any]:
    """What was answered is kept: the job can be resumed."""
    return as_dict(await office.dispatch.cancel(job_id))


@routes.post("/{job_id}/resume")
async def resume_job(job_id: str, office: TheOffice) -> dict[str, Any]:
    """Goes on with a job that was estimated, cancelled or failed; no call that was answered is repeated."""
    return as_dict(await office.dispatch.resume(job_id))


@routes.get("/{job_id}/log", response_class=PlainTextResponse)
async def show_log(job_id: str, office: TheOffice) -> Response:
    """What the build printed, the last million bytes of it."""
    await office.dispatch.standing(job_id)
    path = office.dispatch.shelf.output(job_id)
    data = path.read_bytes() if path.exists() else b""
    return PlainTextResponse(data[-_LONGEST_LOG:].decode(errors="replace"))


@routes.get("/{job_id}/result")
async def show_result(job_id: str, office: TheOffice) -> dict[str, Any]:
    """The release, and what was measured of every contender."""
    standing = await office.dispatch.standing(job_id)
    if standing.progress.result is None:
        raise JobBusy(f"job {job_id!r} is {standing.state} and has no result")
    return dict(orjson.loads(orjson.dumps(standing.progress.result, default=str)))


@routes.get("/{job_id}/events", response_class=EventSourceResponse)
async def follow_job(
    job_id: KnownJob, office: TheOffice, last_event_id: Annotated[int, Header(ge=0)] = 0
) -> AsyncIterator[ServerSentEvent]:
    """The build's own events from the beginning, or from the id of the last one that was received."""
    path, offset = office.dispatch.shelf.events(job_id), last_event_id
    while True:
        over = not (await office.dispatch.standing(job_id)).under_way
        if path.exists():
            with path.open("rb") as file:
                file.seek(offset)
                for line in file.read().rpartition(b"\n")[0].splitlines():
                    offset += len(line) + 1
                    if (event := _event(line, offset)) is not None:
                        yield event
        if over:
            yield ServerSentEvent(event="end", data={"state": (await office.dispatch.standing(job_id)).state})
            return
        await asyncio.sleep(_LOOK)


def as_dict(standing: Standing) -> dict[str, Any]:
    """A job as it is told over HTTP."""
    job, progress = standing.job, standing.progress
    return {
        "id": job.id,
        "state": standing.state,
        "program": job.order.program,
        "command": command_of(job.order),
        "created": job.created,
        "started": progress.began,
        "ended": progress.ended_at if not standing.under_way else None,
        "stage": progress.stage,
        "progress": round(progress.share, 4),
        "estimate": orjson.loads(orjson.dumps(progress.estimated)),
        "spent": orjson.loads(orjson.dumps(progress.spent)),
        "release": release_of(progress.result),
        "why": list(standing.why),
    }


def release_of(result: BuildResult | None) -> str | None:
    return None if result is None else f"{result.program}@{result.version}"


def _event(line: bytes, offset: int) -> ServerSentEvent | None:
    try:
        told = orjson.loads(line)
        return ServerSentEvent(event=told["event"], id=str(offset), data=told["said"])
    except (ValueError, KeyError, TypeError):
        return None
