"""Jobs in line: who runs, who waits, and what a new server finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compiler.service.served import Told, ended, furnish, serving, until

ORDER = {"program": "gsm8k"}


def start(client: httpx.Client, **more: object) -> dict[str, Any]:
    answer = client.post("/api/jobs", json={**ORDER, **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def running(job: dict[str, Any]) -> bool:
    return bool(job["state"] == "running")


def folder(tmp_path: Path, job: dict[str, Any]) -> Path:
    return tmp_path / "state" / "builds" / str(job["id"])


def test_one_runs_and_the_next_waits_for_it(client: httpx.Client, place: Told, tmp_path: Path) -> None:
    first, second = start(client), start(client)
    until(client, first["id"], running)
    assert client.get(f"/api/jobs/{second['id']}").json()["state"] == "waiting"
    place.end(folder(tmp_path, first), 0)
    until(client, second["id"], running)


def test_as_many_run_at_once_as_the_settings_say(tmp_path: Path, place: Told) -> None:
    with serving(tmp_path, furnish(tmp_path, builds_at_once=2), place) as client:
        jobs = [start(client) for _ in range(3)]
        for job in jobs[:2]:
            until(client, job["id"], running)
        assert client.get(f"/api/jobs/{jobs[2]['id']}").json()["state"] == "waiting"


def test_an_estimate_waits_for_nobody(client: httpx.Client, place: Told, tmp_path: Path) -> None:
    until(client, start(client)["id"], running)
    estimate = start(client, estimate=True)
    until(client, estimate["id"], lambda job: job["state"] == "estimating")
    assert "--estimate" in place.runs[1].arguments
    place.end(folder(tmp_path, estimate), 0, "Nothing was built yet.")
    assert until(client, estimate["id"], ended)["state"] == "estimated"


def test_an_estimated_job_builds_when_it_is_resumed(
    client: httpx.Client, place: Told, tmp_path: Path
) -> None:
    job = start(client, estimate=True)
    until(client, job["id"], lambda job: job["state"] == "estimating")
    place.end(folder(tmp_path, job), 0)
    until(client, job["id"], ended)
    assert client.post(f"/api/jobs/{job['id']}/resume").json()["state"] == "waiting"
    until(client, job["id"], running)
    assert "--estimate" not in place.runs[1].arguments
    assert place.runs[1].arguments[1:3] == ["--build-id", job["id"]]


def test_a_cancelled_job_can_be_resumed(client: httpx.Client, place: Told, tmp_path: Path) -> None:
    job = start(client)
    until(client, job["id"], running)
    client.post(f"/api/jobs/{job['id']}/cancel")
    cancelled = until(client, job["id"], ended)
    assert (cancelled["state"], cancelled["why"]) == ("cancelled", ["Interrupted; no release was written."])
    assert place.interrupted == [folder(tmp_path, job)]
    client.post(f"/api/jobs/{job['id']}/resume")
    until(client, job["id"], running)


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_build_that_ends_before_its_first_word_is_not_told_by_its_estimate(
    client: httpx.Client, place: Told, tmp_path: Path, cancelled: bool
) -> None:
    job = start(client, estimate=True)
    until(client, job["id"], lambda job: job["state"] == "estimating")
    place.end(folder(tmp_path, job), 0)
    until(client, job["id"], ended)
    place.mute = True
    client.post(f"/api/jobs/{job['id']}/resume")
    until(client, job["id"], running)
    if cancelled:
        client.post(f"/api/jobs/{job['id']}/cancel")
    else:
        place.running.clear()
    assert until(client, job["id"], ended)["state"] == ("cancelled" if cancelled else "failed")


def test_one_that_waits_is_cancelled_before_it_begins(client: httpx.Client, place: Told) -> None:
    until(client, start(client)["id"], running)
    waiting = start(client)
    assert client.post(f"/api/jobs/{waiting['id']}/cancel").json()["state"] == "cancelled"
    assert len(place.runs) == 1


@pytest.mark.parametrize("verb", ["cancel", "resume"])
def test_what_cannot_be_done_is_told_with_a_code(
    client: httpx.Client, place: Told, tmp_path: Path, verb: str
) -> None:
    job = start(client)
    until(client, job["id"], running)
    if verb == "cancel":
        place.end(folder(tmp_path, job), 2, "There are 3 rows.")
        until(client, job["id"], ended)
    answer = client.post(f"/api/jobs/{job['id']}/{verb}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "job_busy")


def test_a_build_that_was_killed_is_told_and_not_begun_again_by_itself(
    client: httpx.Client, place: Told, tmp_path: Path
) -> None:
    job = start(client)
    until(client, job["id"], running)
    place.running.clear()
    killed = until(client, job["id"], ended)
    assert killed["state"] == "failed" and "ended without a word" in killed["why"][0]
    assert len(place.runs) == 1


def test_a_new_server_finds_what_ran_and_what_waited(tmp_path: Path, place: Told) -> None:
    settings = furnish(tmp_path)
    with serving(tmp_path, settings, place) as client:
        first, second = start(client), start(client)
        until(client, first["id"], running)
    with serving(tmp_path, settings, place) as client:
        assert client.get(f"/api/jobs/{first['id']}").json()["state"] == "running"
        assert client.get(f"/api/jobs/{second['id']}").json()["state"] == "waiting"
        place.end(folder(tmp_path, first), 0)
        until(client, second["id"], running)
    assert [run.folder.name for run in place.runs] == [first["id"], second["id"]]


def test_a_build_that_died_with_the_machine_goes_on_with_the_next_server(tmp_path: Path, place: Told) -> None:
    settings = furnish(tmp_path)
    with serving(tmp_path, settings, place) as client:
        job = start(client)
        until(client, job["id"], running)
    place.running.clear()
    with serving(tmp_path, settings, place) as client:
        until(client, job["id"], running)
    assert [run.folder.name for run in place.runs] == [job["id"]] * 2


def test_an_unknown_job_is_404(client: httpx.Client) -> None:
    for path in ("nope", "nope/events", "nope/log", "nope/result", ".hidden"):
        answer = client.get(f"/api/jobs/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "job_unknown")
