"""What the handlers of one server share, made with it and closed with it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from compiler.service.dispatch import Dispatch
from compiler.service.door import Session
from compiler.service.folders import Folders
from compiler.service.students import Students
from engine.settings import Settings


@dataclass(frozen=True)
class Office:
    settings: Settings
    folders: Folders
    dispatch: Dispatch
    students: Students
    session: Session | None
    drawing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Matplotlib's settings are one for the whole process: one chart at a time."""


def _office(request: Request) -> Office:
    office: Office = request.app.state.office
    return office


TheOffice = Annotated[Office, Depends(_office)]
"""A parameter of a handler."""


async def _known_job(job_id: str, office: TheOffice) -> str:
    return (await office.dispatch.standing(job_id)).job.id


KnownJob = Annotated[str, Depends(_known_job)]
"""The id of a job that there is: of a stream it has to be known before its first byte."""
