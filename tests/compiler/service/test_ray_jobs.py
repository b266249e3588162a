"""Builds on a Ray cluster, whose head is played: the four requests that are made of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from compiler.event_file import RunBegan, RunEnded, line_of
from compiler.service.errors import PlaceUnavailable
from compiler.service.places import Run
from compiler.service.ray_jobs import RayCluster
from tests.app_thread import serving_in_thread
from tests.compiler.service.served import ended, furnish, serving, until

NOBODY = "http://127.0.0.1:9"


class Head:
    """Keeps the jobs that it was given; a test says when one is over."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.app = web.Application()
        self.app.add_routes(
            [
                web.post("/api/jobs/", self._submit),
                web.get("/api/jobs/{name}", self._show),
                web.post("/api/jobs/{name}/stop", self._stop),
            ]
        )

    async def _submit(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.jobs[asked["submission_id"]] = {**asked, "status": "RUNNING"}
        return web.json_response({"submission_id": asked["submission_id"]})

    async def _show(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["name"])
        return web.json_response(job) if job else web.Response(status=404, text="no such job")

    async def _stop(self, request: web.Request) -> web.Response:
        self.jobs[request.match_info["name"]]["status"] = "STOPPED"
        return web.json_response({"stopped": True})


@pytest.fixture
def head() -> Head:
    return Head()


@pytest.fixture
def url(head: Head) -> Iterator[str]:
    with serving_in_thread(head.app) as url:
        yield url


async def test_a_build_is_submitted_as_the_command_that_it_is(head: Head, url: str, tmp_path: Path) -> None:
    name = await RayCluster(url).start(Run(["build", "--data=my rows.jsonl", "--", "sums"], tmp_path))
    entrypoint = head.jobs[name]["entrypoint"]
    assert "exec compiler build '--data=my rows.jsonl' -- sums >> " in entrypoint
    assert str(tmp_path / "output.log") in entrypoint and name.startswith(tmp_path.name)


async def test_it_lives_until_it_is_stopped(url: str, tmp_path: Path) -> None:
    name = await RayCluster(url).start(Run(["build", "sums"], tmp_path))
    assert await RayCluster(url).alive(tmp_path, name)
    await RayCluster(url).interrupt(tmp_path, name)
    assert not await RayCluster(url).alive(tmp_path, name)


async def test_a_cluster_that_was_made_anew_runs_nothing_of_the_old_one(url: str, tmp_path: Path) -> None:
    assert not await RayCluster(url).alive(tmp_path, "20261127-000000-aaaa-1")


async def test_a_cluster_that_does_not_answer_is_told_and_taken_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(PlaceUnavailable, match="does not answer"):
        await RayCluster(NOBODY).start(Run(["build", "sums"], tmp_path))
    assert await RayCluster(NOBODY).alive(tmp_path, "20261127-000000-aaaa-1")


def test_a_job_runs_there_where_the_settings_name_a_cluster(head: Head, url: str, tmp_path: Path) -> None:
    with serving(tmp_path, furnish(tmp_path, ray=url)) as client:
        job = client.post("/api/jobs", json={"program": "gsm8k"}).json()
        until(client, job["id"], lambda job: job["state"] == "running")
        (name,) = head.jobs
        events = tmp_path / "state" / "builds" / job["id"] / "events.jsonl"
        events.write_bytes(line_of(RunBegan()) + line_of(RunEnded(2, ("3 rows are too few.",))))
        head.jobs[name]["status"] = "FAILED"
        over = until(client, job["id"], ended)
    assert (over["state"], over["why"]) == ("failed", ["3 rows are too few."])


def test_a_job_that_cannot_be_given_to_the_cluster_has_failed(tmp_path: Path) -> None:
    with serving(tmp_path, furnish(tmp_path, ray=NOBODY)) as client:
        job = client.post("/api/jobs", json={"program": "gsm8k"}).json()
        over = until(client, job["id"], ended)
    assert "does not answer" in over["why"][0]
