"""A program's way from an order to a release, over HTTP and in real processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from compiler.service.places import ThisMachine
from programs.aliases import read_aliases
from tests.compiler.scripted import Adder
from tests.compiler.served import Server, serving
from tests.compiler.service.served import Told, ended, furnish, until
from tests.compiler.service.served import serving as serving_console


@pytest.fixture(scope="module")
def engine() -> Iterator[Server]:
    with serving(Adder(pause=0.005)) as served:
        yield served


def events(client: httpx.Client, job_id: str, last: int = 0) -> list[tuple[int, str, Any]]:
    """Id, name and content of each event, to the end of the stream."""
    found, told = [], client.get(f"/api/jobs/{job_id}/events", headers={"last-event-id": str(last)}).text
    for block in told.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append((int(fields.get("id", 0)), fields["event"], orjson.loads(fields["data"])))
    return found


@pytest.mark.timeout(240)  # two real builds, on a machine that may be busy
def test_from_an_estimate_to_a_champion(tmp_path: Path, engine: Server) -> None:
    with serving_console(tmp_path, furnish(tmp_path, engine.url)) as client:
        order = {
            "program": f"{tmp_path}/programs/sums.py",
            "data": f"{tmp_path}/data/sums.jsonl",
            "arguments": {"num_candidate_programs": 2},
            "estimate": True,
        }
        job = client.post("/api/jobs", json=order).json()
        estimated = until(client, job["id"], ended)
        assert estimated["state"] == "estimated" and estimated["estimate"]["calls"] > 12
        assert client.get(f"/api/jobs/{job['id']}/result").json()["error"]["code"] == "job_busy"
        client.post(f"/api/jobs/{job['id']}/resume")
        done = until(client, job["id"], ended)
        assert (done["state"], done["progress"]) == ("done", 1.0), done["why"]
        told = events(client, job["id"])
        names = [name for _, name, _ in told]
        assert names.count("RunBegan") == 2 and names[-2:] == ["RunEnded", "end"]
        assert {"CandidateScored", "Estimated", "Scored", "Finished"} <= set(names)
        middle = told[len(told) // 2][0]
        assert events(client, job["id"], middle) == told[len(told) // 2 + 1 :]
        result = client.get(f"/api/jobs/{job['id']}/result").json()
        assert done["release"] == f"sums@{result['version']}" and result["compiled"]["mean"] == 1.0
        assert read_aliases(tmp_path / "releases" / "sums").champion == result["version"]
        assert "is the champion" in client.get(f"/api/jobs/{job['id']}/log").text


@pytest.mark.timeout(240)
def test_a_build_outlives_its_server_and_is_cancelled_by_the_next_one(tmp_path: Path, engine: Server) -> None:
    settings = furnish(tmp_path, engine.url)
    with serving_console(tmp_path, settings) as client:
        order = {"program": f"{tmp_path}/programs/sums.py", "arguments": {"num_candidate_programs": 40}}
        job = client.post("/api/jobs", json=order).json()
        until(client, job["id"], lambda job: job["stage"] == "Optimise")
    with serving_console(tmp_path, settings) as client:
        assert client.get(f"/api/jobs/{job['id']}").json()["state"] == "running"
        client.post(f"/api/jobs/{job['id']}/cancel")
        cancelled = until(client, job["id"], ended)
        assert cancelled["state"] == "cancelled" and "go on with" in cancelled["why"][0]
        assert not (tmp_path / "releases").exists()


async def test_a_process_is_known_by_its_lock_and_not_by_its_number(tmp_path: Path) -> None:
    ours = str(os.getpid())
    assert not await ThisMachine().alive(tmp_path, ours)
    (tmp_path / "job.lock").touch()
    assert not await ThisMachine().alive(tmp_path, ours)
    await ThisMachine().interrupt(tmp_path, ours)  # or this test would be interrupted


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ({"program": "/etc/passwd.py"}, 400, "path_refused"),
        ({"program": "gsm8k", "data": "../rows.jsonl"}, 400, "path_refused"),
        ({"program": "gsm8k", "save_path": "/tmp"}, 400, "path_refused"),
        ({"program": "none"}, 404, "program_unknown"),
        ({"program": "--help"}, 404, "program_unknown"),
        ({"program": "gsm8k", "student": "http://169.254.169.254/"}, 422, "request_invalid"),
        ({"program": "gsm8k", "teacher": "nobody"}, 422, "request_invalid"),
        ({"program": "gsm8k", "optimizer": "Magic"}, 422, "user_mistake"),
        ({"program": "gsm8k", "max_usd": -1}, 422, "request_invalid"),
        ({"program": "gsm8k", "budget": 3}, 422, "request_invalid"),
        ({}, 422, "request_invalid"),
    ],
)
def test_what_is_wrong_with_an_order_is_one_sentence_with_a_code(
    client: httpx.Client, place: Told, order: dict[str, Any], status: int, code: str
) -> None:
    answer = client.post("/api/jobs", json=order)
    body = answer.json()
    assert (answer.status_code, body["status"], body["error"]["code"]) == (status, "error", code)
    assert body["error"]["message"].endswith(".") and not place.runs


def test_a_value_is_never_taken_for_an_option(client: httpx.Client, place: Told) -> None:
    job = client.post("/api/jobs", json={"program": "gsm8k", "student": "--help/--version"}).json()
    until(client, job["id"], lambda job: job["state"] == "running")
    assert place.runs[0].arguments[-2:] == ["--", "gsm8k"]
    assert "--student=--help/--version" in place.runs[0].arguments


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "The body is not JSON: "),
        (b"[]", "The body has to be a JSON object"),
        (b'{"program": 5}', "program: input should be a valid string."),
    ],
)
def test_a_body_that_is_no_order_is_told_in_a_sentence(client: httpx.Client, body: bytes, told: str) -> None:
    answer = client.post("/api/jobs", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422 and answer.json()["error"]["message"].startswith(told)


def test_a_path_that_is_not_there_and_a_method_that_is_not_are_told_alike(client: httpx.Client) -> None:
    for answer, code in (
        (client.get("/api/nothing"), "not_found"),
        (client.delete("/api/jobs"), "method_not_allowed"),
    ):
        assert answer.json()["error"]["code"] == code
