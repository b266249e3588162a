"""Takes jobs in, lets so many of them run at once, and sees each to its end.

The waiting line is a queue in SQLite whose items leave it only when their job has ended: whatever happens to
the server, the next one finds what waited and what ran. Estimates take a few calls and do not wait in line.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Literal

from persistqueue import Empty, SQLiteAckQueue
from persistqueue.serializers import json as as_json

from compiler.service.errors import JobBusy, JobUnknown, PlaceUnavailable
from compiler.service.jobs import CANCELLED, FAILED, Job, JobShelf, Standing
from compiler.service.orders import Order, words_of
from compiler.service.places import Place, Run

_LOOK = 0.2  # seconds between two looks at a process
_log = logging.getLogger(__name__)


class Dispatch:
    """The jobs of one server. `config` are words that each build gets, so that it reads the same settings."""

    def __init__(self, shelf: JobShelf, place: Place, config: tuple[str, ...] = ()) -> None:
        self.shelf = shelf
        self._place, self._config = place, config
        self._arrived = asyncio.Event()
        self._estimates: set[asyncio.Task[None]] = set()
        self._line: SQLiteAckQueue | None = None

    @asynccontextmanager
    async def working(self, at_once: int) -> AsyncIterator[None]:
        """Runs jobs until the block ends; those that run then go on without this server."""
        folder = self.shelf.state / "waiting"
        folder.mkdir(parents=True, exist_ok=True)
        # Used in this thread alone; but it closes itself again when it is collected, in whichever.
        self._line = SQLiteAckQueue(str(folder), serializer=as_json, multithreading=True)
        self._line.clear_acked_data(keep_latest=0)
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(self._work(self._line)) for _ in range(at_once)]
            self._take_up()
            try:
                yield
            finally:
                for task in (*workers, *self._estimates):
                    task.cancel()
                await asyncio.gather(*workers, *self._estimates, return_exceptions=True)
                self._line.close()

    async def add(
        self, order: Order, origin: Literal["console", "jobs", "dspy"], *, estimate: bool
    ) -> Standing:
        """A new job; with `estimate` it ends when it has told what the build will take."""
        job = self.shelf.add(order, origin, "estimate" if estimate else "build")
        self._send(job)
        return await self.standing(job.id)

    async def resume(self, job_id: str) -> Standing:
        """Goes on with a job that ended before it had a release, or that was estimated.

        Raises:
            JobUnknown, JobBusy
        """
        standing = await self.standing(job_id)
        if standing.state not in ("estimated", "failed", "cancelled"):
            raise JobBusy(f"job {job_id!r} is {standing.state}: there is nothing to resume")
        self._send(self.shelf.write(replace(standing.job, wanted="build", started=False, cancelled=False)))
        return await self.standing(job_id)

    async def cancel(self, job_id: str) -> Standing:
        """Ends a job so that it can be resumed; a process is told to end, and ends when it has written down.

        Raises:
            JobUnknown, JobBusy
        """
        standing = await self.standing(job_id)
        if standing.state == "waiting":
            self.shelf.end(standing.job, "Cancelled before it began.")
        elif standing.under_way:
            self.shelf.write(replace(standing.job, cancelled=True))
            await self._place.interrupt(self.shelf.folder(job_id), standing.job.process)
        else:
            raise JobBusy(f"job {job_id!r} is {standing.state}: there is nothing to cancel")
        return await self.standing(job_id)

    async def standing(self, job_id: str) -> Standing:
        """Raises JobUnknown."""
        job = self.shelf.read(job_id)
        return self.shelf.standing(job, await self._alive(job))

    async def standings(self) -> list[Standing]:
        """All jobs, the newest first."""
        return [self.shelf.standing(job, await self._alive(job)) for job in self.shelf.all()]

    def _send(self, job: Job) -> None:
        if job.wanted == "estimate":
            task = asyncio.get_running_loop().create_task(self._see_through(job))
            self._estimates.add(task)
            task.add_done_callback(self._estimates.discard)
            return
        assert self._line is not None, "jobs are taken in while the server works"
        self._line.put(job.id)
        self._arrived.set()

    def _take_up(self) -> None:
        """Estimates that an earlier server began; builds wait in line by themselves."""
        for job in self.shelf.all():
            if job.wanted == "estimate":
                self._send(job)

    async def _work(self, line: SQLiteAckQueue) -> None:
        while True:
            try:
                item = line.get(block=False, raw=True)
            except Empty:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            try:
                await self._see_through(self.shelf.read(item["data"]))
            except JobUnknown as error:
                _log.warning("%s any more: its folder was removed", error)
            line.ack(id=item["pqid"])

    async def _see_through(self, job: Job) -> None:
        """Starts it, unless it was cancelled meanwhile or runs already; waits for its end."""
        if job.wanted == "nothing":
            return
        if not job.started or (not await self._alive(job) and self.shelf.end_of(job) is None):
            job = await self._start(job)
        while await self._alive(job):  # noqa: ASYNC110 - it may be another server's child, of whose end nothing tells
            await asyncio.sleep(_LOOK)
        now = self.shelf.read(job.id)
        if not now.started or now.process != job.process:
            return  # somebody was quick to resume it, which is a run of its own
        if self.shelf.end_of(now) is None:
            now = await self._end(now)
        self.shelf.write(replace(now, wanted="nothing"))
        _log.info("job %s is %s", job.id, (await self.standing(job.id)).state)

    async def _end(self, job: Job) -> Job:
        """Of one whose process is gone and told no end."""
        if job.cancelled:
            return self.shelf.end(job, CANCELLED)
        why = await self._place.why_ended(self.shelf.folder(job.id), job.process)
        return job if why is None else self.shelf.end(job, why, FAILED)

    async def _start(self, job: Job) -> Job:
        folder = self.shelf.folder(job.id)
        verb, *options = words_of(job.order)[1:]
        told = ["--build-id", job.id, "--events", str(self.shelf.events(job.id)), *self._config]
        # An estimate is no build yet, which is what MLflow keeps.
        told += ["--estimate", "--mlflow-uri", "off"] if job.wanted == "estimate" else []
        ends = self.shelf.progress(job.id).ends
        try:
            name = await self._place.start(Run([verb, *told, *options], folder))
        except (OSError, PlaceUnavailable) as error:
            return self.shelf.end(job, f"The build can't be started: {error}.", FAILED)
        return self.shelf.write(replace(job, started=True, process=name, ends=ends))

    async def _alive(self, job: Job) -> bool:
        if not job.started or job.wanted == "nothing":
            return False
        return await self._place.alive(self.shelf.folder(job.id), job.process)
