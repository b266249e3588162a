"""Jobs: builds that somebody ordered over HTTP, each in the folder of its build.

.smallforge/builds/<id>/job.json       the order, and what is wanted of it now
                        events.jsonl   what the build told, run after run
                        output.log     what it printed
                        job.lock       held by the build's process as long as it lives

All there is to know of a job is on disk, so that a server that is started again knows it too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError

from compiler.event_file import RunEnded, line_of
from compiler.run import INTERRUPTED
from compiler.service.errors import JobUnknown
from compiler.service.orders import Order
from compiler.service.progress import EventReader, Progress
from compiler.workshop import new_build_id

Wanted = Literal["estimate", "build", "nothing"]
State = Literal["waiting", "estimating", "running", "estimated", "done", "missed", "failed", "cancelled"]
UNDER_WAY: tuple[State, ...] = ("waiting", "estimating", "running")
FAILED = 1  # the exit code of what is nobody's mistake
CANCELLED = "Cancelled; what was answered is kept."
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Job:
    """One job. `wanted` is what its present run is for, `started` that this run has a process."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    id: str
    order: Order
    created: str
    origin: Literal["console", "jobs", "dspy"] = "jobs"
    wanted: Wanted = "build"
    started: bool = False
    cancelled: bool = False
    process: str | None = None
    """How the place where it runs knows the process."""
    ends: int = 0
    """How many ends were told before its present run was started: those are of other runs."""


@dataclass(frozen=True)
class Standing:
    """A job as it stands now. `why` are the sentences with which its last run ended."""

    job: Job
    state: State
    progress: Progress
    why: tuple[str, ...] = ()

    @property
    def under_way(self) -> bool:
        return self.state in UNDER_WAY


_JOB = TypeAdapter(Job)


@dataclass
class JobShelf:
    """The jobs of one state folder."""

    state: Path
    _readers: dict[str, EventReader] = field(default_factory=dict)

    def add(self, order: Order, origin: Literal["console", "jobs", "dspy"], wanted: Wanted) -> Job:
        job = Job(new_build_id(), order, datetime.now(UTC).isoformat(timespec="seconds"), origin, wanted)
        self.folder(job.id).mkdir(parents=True)
        self.write(job)
        return job

    def write(self, job: Job) -> Job:
        path = self.folder(job.id) / "job.json"
        draft = path.with_suffix(".draft")
        draft.write_bytes(orjson.dumps(asdict(job), default=str, option=orjson.OPT_INDENT_2))
        os.replace(draft, path)
        return job

    def read(self, job_id: str) -> Job:
        """Raises JobUnknown."""
        try:
            if _JOB_ID.fullmatch(job_id):
                return _JOB.validate_json((self.folder(job_id) / "job.json").read_bytes())
        except (OSError, ValidationError):
            pass  # a build of the command line, or a file of another version: none of our jobs
        raise JobUnknown(f"there is no job {job_id!r}")

    def all(self) -> Iterator[Job]:
        """The newest first."""
        for path in sorted((self.state / "builds").glob("*/job.json"), reverse=True):
            try:
                yield self.read(path.parent.name)
            except JobUnknown:
                continue

    def folder(self, job_id: str) -> Path:
        return self.state / "builds" / job_id

    def events(self, job_id: str) -> Path:
        return self.folder(job_id) / "events.jsonl"

    def output(self, job_id: str) -> Path:
        return self.folder(job_id) / "output.log"

    def progress(self, job_id: str) -> Progress:
        reader = self._readers.setdefault(job_id, EventReader(self.events(job_id)))
        return reader.read_on()

    def standing(self, job: Job, alive: bool) -> Standing:
        """`alive` says whether a process runs it now."""
        progress = self.progress(job.id)
        if alive and job.started:
            return Standing(job, "estimating" if job.wanted == "estimate" else "running", progress)
        if job.wanted != "nothing" and not job.started:
            return Standing(job, "waiting", progress)
        ended = self.end_of(job) or _without_a_word(job)
        return Standing(job, _state_after(ended, progress), progress, ended.sentences)

    def end_of(self, job: Job) -> RunEnded | None:
        """What was told of the end of its present run."""
        progress = self.progress(job.id)
        return progress.ended if progress.ends > job.ends else None

    def end(self, job: Job, sentence: str, code: int = INTERRUPTED) -> Job:
        """Of one that no process runs: it will not go on by itself."""
        with self.events(job.id).open("ab") as file:
            file.write(line_of(RunEnded(code, (sentence,))))
        return self.write(replace(job, wanted="nothing"))


def _without_a_word(job: Job) -> RunEnded:
    if job.cancelled:
        return RunEnded(INTERRUPTED, (CANCELLED,))
    return RunEnded(FAILED, ("The build's process ended without a word; it can be resumed.",))


def _state_after(ended: RunEnded, progress: Progress) -> State:
    if ended.code == INTERRUPTED:
        return "cancelled"
    if progress.result is not None:
        return "done" if ended.code == 0 else "missed"
    return "estimated" if ended.code == 0 else "failed"
