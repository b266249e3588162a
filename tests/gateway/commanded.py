"""`gateway serve` as a user runs it: a process of its own, in a folder with one release."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.gateway.serving import fingerprint_of, make_plan, put_release, wait_until
from tests.gateway.upstream import Upstream

ASK: Any = {"model": "quiz", "messages": [{"role": "user", "content": "q"}]}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Served:
    """A running `gateway serve`."""

    def __init__(self, process: subprocess.Popen[str], port: int, metrics_port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"

    def up(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False


def surroundings() -> dict[str, str]:
    """This process's environment without settings of Smallforge, so that only a test's own count."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SMALLFORGE_")}
    return own | {"PYTHONPATH": str(Path(__file__).parents[2])}


@contextmanager
def serving(folder: Path, upstream: Upstream, *flags: str, student: bool = True) -> Iterator[Served]:
    """The command with one release; without `student` its engine is the one in the folder's settings."""
    put_release(folder / "releases", make_plan(), fingerprint_of(upstream.url))
    port, metrics_port = free_port(), free_port()
    named = ("--student", upstream.url) if student else ()
    command = [
        sys.executable, "-c", "from gateway.command import main; main()", "serve",
        *named, "--port", str(port), "--metrics-port", str(metrics_port), *flags,
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=folder, env=surroundings(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        served = Served(process, port, metrics_port)
        wait_until(served.up, 60)
        yield served
    finally:
        process.kill()
        process.communicate()


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from gateway.command import main; main()", "serve", *arguments]
    return subprocess.run(command, cwd=folder, env=surroundings(), text=True, capture_output=True, timeout=30)
