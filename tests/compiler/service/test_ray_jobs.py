"""Builds on a Ray cluster, whose head is played as Ray 2.60 behaves (tests/integration/test_ray.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from compiler.event_file import RunBegan, RunEnded, line_of
from compiler.service.errors import PlaceUnavailable
from compiler.service.places import Run
from compiler.service.ray_jobs import RayCluster
from tests.app_thread import serving_in_thread
from tests.compiler.service.served import ended, furnish, serving, until

NOBODY = "http://127.0.0.1:9"
KEY = "the token of this cluster"
TRACEBACK = """Traceback (most recent call last):
  File "job_manager.py", line 553, in submit_job
ValueError: Job with submission_id a-1 already exists.
.
"""
LOG = """2026-11-27 21:25:22,577\tINFO job_manager.py:581 -- Runtime env is setting up.
Running entrypoint for job a-1: cd /nowhere && exec compiler build
/bin/sh: 1: cd: can't cd to /nowhere"""


class Head:
    """Keeps the jobs that it was given; a test says when one is over."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.refusal: str | None = None
        self.hangs_up = False
        """Whether it takes a job and says nothing."""
        self.app = web.Application(middlewares=[self._let_in])
        self.app.add_routes(
            [
                web.post("/api/jobs/", self._submit),
                web.get("/api/jobs/{name}", self._show),
                web.post("/api/jobs/{name}/stop", self._stop),
            ]
        )

    @web.middleware
    async def _let_in(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return web.Response(status=401, text="Unauthorized: Missing authentication token")
        return await handler(request) if self.refusal is None else web.Response(status=400, text=self.refusal)

    async def _submit(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.jobs[asked["submission_id"]] = {
            **asked,
            "status": "RUNNING",
            "message": "Job is currently running.",
        }
        if self.hangs_up:
            assert request.transport is not None
            request.transport.close()
        return web.json_response({"submission_id": asked["submission_id"]})

    async def _show(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["name"])
        return web.json_response(job) if job else _unknown(request)

    async def _stop(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["name"])
        if job is None:
            return _unknown(request)
        job["status"] = "STOPPED"
        return web.json_response({"stopped": True})


def _unknown(request: web.Request) -> web.Response:
    return web.Response(status=404, text=f"Job {request.match_info['name']} does not exist")


@pytest.fixture
def head() -> Head:
    return Head()


@pytest.fixture
def url(head: Head) -> Iterator[str]:
    with serving_in_thread(head.app) as url:
        yield url


@pytest.fixture
def cluster(url: str) -> RayCluster:
    return RayCluster(url, KEY)


SUMS = ["build", "sums"]
GONE = "20261127-000000-aaaa-1"


@contextmanager
def running(folder: Path, url: str) -> Iterator[tuple[httpx.Client, Any]]:
    """A server that runs builds on the cluster, and a job of it that runs there."""
    settings = furnish(folder, ray=url)
    with serving(folder, replace(settings, console=replace(settings.console, ray_key=KEY))) as client:
        job = client.post("/api/jobs", json={"program": "gsm8k"}).json()
        until(client, job["id"], lambda job: job["state"] == "running")
        yield client, job


async def test_a_build_is_submitted_as_the_command_that_it_is(
    head: Head, cluster: RayCluster, tmp_path: Path
) -> None:
    name = await cluster.start(Run(["build", "--data=my rows.jsonl", "--", "sums"], tmp_path))
    entrypoint = head.jobs[name]["entrypoint"]
    assert "exec compiler build '--data=my rows.jsonl' -- sums >> " in entrypoint
    assert str(tmp_path / "output.log") in entrypoint and name.startswith(tmp_path.name)
    assert head.jobs[name]["entrypoint_num_cpus"] == 1


async def test_it_lives_until_it_is_stopped(cluster: RayCluster, url: str, tmp_path: Path) -> None:
    name = await cluster.start(Run(SUMS, tmp_path))
    assert await cluster.alive(tmp_path, name)
    await cluster.interrupt(tmp_path, name)
    assert not await RayCluster(url, KEY).alive(tmp_path, name)


async def test_a_cluster_that_was_made_anew_runs_nothing_of_the_old_one(
    cluster: RayCluster, tmp_path: Path
) -> None:
    await cluster.interrupt(tmp_path, GONE)
    assert not await cluster.alive(tmp_path, GONE)
    why = await cluster.why_ended(tmp_path, GONE)
    assert why is not None and "knows nothing of the build any more" in why


async def test_a_build_that_was_taken_without_an_answer_is_not_left_to_run_unseen(
    head: Head, cluster: RayCluster, tmp_path: Path
) -> None:
    head.hangs_up = True
    assert await cluster.start(Run(SUMS, tmp_path)) in head.jobs


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (
            "Job supervisor actor failed to start within 900 seconds.",
            "Job supervisor actor failed to start within 900 seconds.",
        ),
        (
            f"Job entrypoint command failed with exit code 2, last available logs (truncated):\n{LOG}",
            "Job entrypoint command failed with exit code 2: /bin/sh: 1: cd: can't cd to /nowhere",
        ),
    ],
)
async def test_what_ray_tells_of_a_build_that_said_nothing_is_passed_on(
    head: Head, cluster: RayCluster, tmp_path: Path, message: str, why: str
) -> None:
    name = await cluster.start(Run(SUMS, tmp_path))
    head.jobs[name] |= {"status": "FAILED", "message": message}
    assert await cluster.why_ended(tmp_path, name) == f"The Ray cluster tells: {why}"


async def test_a_refusal_is_told_in_one_line(head: Head, cluster: RayCluster, tmp_path: Path) -> None:
    head.refusal = TRACEBACK
    with pytest.raises(PlaceUnavailable, match=r"refused with 400: ValueError: Job .* already exists$"):
        await cluster.start(Run(SUMS, tmp_path))


async def test_a_cluster_with_a_token_refuses_who_has_none(url: str, tmp_path: Path) -> None:
    with pytest.raises(PlaceUnavailable, match="refused with 401: Unauthorized"):
        await RayCluster(url).start(Run(SUMS, tmp_path))


async def test_a_cluster_that_does_not_answer_is_told_and_taken_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(PlaceUnavailable, match="does not answer"):
        await RayCluster(NOBODY).start(Run(SUMS, tmp_path))
    assert await RayCluster(NOBODY).alive(tmp_path, GONE)


def test_a_job_runs_there_where_the_settings_name_a_cluster(head: Head, url: str, tmp_path: Path) -> None:
    with running(tmp_path, url) as (client, job):
        (name,) = head.jobs
        events = tmp_path / "state" / "builds" / job["id"] / "events.jsonl"
        events.write_bytes(line_of(RunBegan()) + line_of(RunEnded(2, ("3 rows are too few.",))))
        head.jobs[name]["status"] = "FAILED"
        over = until(client, job["id"], ended)
    assert (over["state"], over["why"]) == ("failed", ["3 rows are too few."])


def test_a_job_that_ray_gave_up_says_why(head: Head, url: str, tmp_path: Path) -> None:
    with running(tmp_path, url) as (client, job):
        (name,) = head.jobs
        head.jobs[name] |= {"status": "FAILED", "message": "The actor died: its node was terminated."}
        over = until(client, job["id"], lambda job: "node was terminated" in "".join(job["why"]))
    assert over["state"] == "failed"


def test_a_job_that_cannot_be_given_to_the_cluster_has_failed(tmp_path: Path) -> None:
    with serving(tmp_path, furnish(tmp_path, ray=NOBODY)) as client:
        job = client.post("/api/jobs", json={"program": "gsm8k"}).json()
        over = until(client, job["id"], ended)
    assert over["state"] == "failed" and "does not answer" in over["why"][0]
