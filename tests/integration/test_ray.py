"""A real Ray cluster of one machine, the console in front of it, builds on a scripted student."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from deploy.demo.demo import stop
from programs.aliases import read_aliases
from tests.compiler.scripted import Adder
from tests.compiler.served import serving as serving_student
from tests.compiler.service.served import furnish
from tests.integration.conftest import BIN, free_port, running

ENVIRONMENT = Path(f"{sys.prefix}-ray")
PORTS = (
    "dashboard-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port", "runtime-env-agent-port",
    "metrics-export-port", "ray-client-server-port",
)  # fmt: skip
SMALL = (
    "--num-cpus=2", "--object-store-memory=80000000", "--include-log-monitor=false",
    "--disable-usage-stats", "--port=0", "--min-worker-port=0", "--max-worker-port=0",
)  # fmt: skip
SECONDS = 120
ATTEMPTS = 3  # Ray gives itself 30 seconds to start, whatever else the machine does meanwhile


class Head(NamedTuple):
    url: str
    token: str

    def jobs(self) -> list[dict[str, Any]]:
        """All that Ray tells of its jobs."""
        answer = httpx.get(f"{self.url}/api/jobs/", headers={"Authorization": f"Bearer {self.token}"})
        return list(answer.raise_for_status().json())


def ray_or_leave_out() -> Path:
    """Ray's command, which has an environment of its own; in CI nothing is left out."""
    command = ENVIRONMENT / "bin" / "ray"
    if not (ENVIRONMENT / ".installed").exists():
        missing = f"no Ray is installed in {ENVIRONMENT}; run: make ray"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return command


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """A head that lets in nobody without its token; `compiler` is among its commands."""
    ray, token = ray_or_leave_out(), secrets.token_hex(32)
    surroundings = {
        **os.environ,
        "PATH": os.pathsep.join((str(ray.parent), str(BIN), os.environ["PATH"])),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
    }
    for attempt in range(ATTEMPTS):
        ports = {name: free_port() for name in PORTS}
        here = ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", *SMALL]
        told = [f"--{name}={port}" for name, port in ports.items()]
        # Ray's sockets lie in this folder, and a socket's path must be short.
        with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
            command = [str(ray), "start", "--head", "--block", f"--temp-dir={folder}", *here, *told]
            with started(command, Path(folder) / "head.log", surroundings) as said:
                if "Ray runtime started" in said:
                    yield Head(f"http://127.0.0.1:{ports['dashboard-port']}", token)
                    return
                assert "timed out during startup" in said and attempt + 1 < ATTEMPTS, said[-3000:]


@contextmanager
def started(command: list[str], log: Path, surroundings: dict[str, str]) -> Iterator[str]:
    """What the head said when it was up, or gave up; it is up until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + SECONDS
    try:
        while process.poll() is None and time.monotonic() < deadline:
            if "Ray runtime started" in log.read_text(errors="replace"):
                break
            time.sleep(0.2)
        yield log.read_text(errors="replace")
    finally:
        stop(process)


class House(NamedTuple):
    """A user's folder with a program, and the settings that name the cluster."""

    folder: Path
    url: str


@pytest.fixture(scope="module")
def house(head: Head, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder, port = tmp_path_factory.mktemp("ray"), free_port()
    with serving_student(Adder(pause=0.02)) as student:
        furnish(folder, student.url)
        settings = folder / "smallforge.toml"
        console = f"port = {port}\nray = '{head.url}'\nray_key_env = 'RAY_AUTH_TOKEN'\n"
        settings.write_text(f"{settings.read_text()}\n{console}")
        yield House(folder, f"http://127.0.0.1:{port}")


@contextmanager
def serving(house: House, head: Head) -> Iterator[httpx.Client]:
    """`compiler serve`, which knows the token of the cluster."""
    named = {"RAY_AUTH_TOKEN": head.token}
    with (
        running(["compiler", "serve"], house.folder, f"{house.url}/healthz", SECONDS, named),
        httpx.Client(base_url=house.url, timeout=SECONDS) as client,
    ):
        yield client


def until(client: httpx.Client, job_id: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    while not wanted(job := dict(client.get(f"/api/jobs/{job_id}").json())):
        assert time.monotonic() < deadline, f"the job never stood so: {job}"
        time.sleep(0.1)
    return job


def order(client: httpx.Client, house: House, candidates: int) -> str:
    arguments = {"num_candidate_programs": candidates}
    asked = {"program": f"{house.folder}/programs/sums.py", "arguments": arguments}
    answer = client.post("/api/jobs", json=asked)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_a_build_runs_on_the_cluster_and_is_followed_to_its_release(house: House, head: Head) -> None:
    with serving(house, head) as client:
        job = order(client, house, candidates=2)
        told = client.get(f"/api/jobs/{job}/events").text
        names = [line.removeprefix("event: ") for line in told.splitlines() if line.startswith("event: ")]
        assert names[0] == "RunBegan" and names[-2:] == ["RunEnded", "end"] and "Scored" in names
        done = client.get(f"/api/jobs/{job}").json()
        assert (done["state"], done["why"]) == ("done", [])
        assert "is the champion" in client.get(f"/api/jobs/{job}/log").text
    champion = read_aliases(house.folder / "releases" / "sums").champion
    assert done["release"] == f"sums@{champion}"
    (run,) = (run for run in head.jobs() if run["submission_id"].startswith(job))
    assert (run["status"], run["driver_exit_code"]) == ("SUCCEEDED", 0)


def test_a_build_outlives_its_server_and_ends_gently_when_the_next_one_cancels_it(
    house: House, head: Head
) -> None:
    with serving(house, head) as client:
        job = order(client, house, candidates=1500)
        until(client, job, lambda job: bool(job["stage"] == "Optimise"))
    with serving(house, head) as client:
        assert client.get(f"/api/jobs/{job}").json()["state"] == "running"
        client.post(f"/api/jobs/{job}/cancel")
        over = until(client, job, lambda job: bool(job["state"] != "running"))
    assert over["state"] == "cancelled" and "What was answered is kept" in over["why"][0]
    assert {run["status"] for run in head.jobs() if run["submission_id"].startswith(job)} == {"STOPPED"}
