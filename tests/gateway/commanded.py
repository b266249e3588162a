"""`gateway serve` as a user runs it: a process of its own, in a folder with one release."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx

from tests.gateway.serving import fingerprint_of, make_plan, put_release, wait_until
from tests.gateway.upstream import Upstream

ASK: Any = {"model": "quiz", "messages": [{"role": "user", "content": "q"}]}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Written:
    """What processes write to a pipe, read as it comes: a full one would stop them in mid-request."""

    def __init__(self, pipe: IO[str]) -> None:
        self._pipe = pipe
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def holds(self, text: str) -> bool:
        return any(text in line for line in list(self._lines))

    def whole(self) -> str:
        """All of it, once the last process has closed the pipe."""
        self._reader.join()
        return "".join(self._lines)

    def _read(self) -> None:
        with self._pipe:
            for line in self._pipe:
                self._lines.append(line)


class Served:
    """A running `gateway serve`."""

    def __init__(self, process: subprocess.Popen[str], port: int, metrics_port: int) -> None:
        assert process.stdout is not None and process.stderr is not None
        self.process = process
        self.out, self.err = Written(process.stdout), Written(process.stderr)
        self.url = f"http://127.0.0.1:{port}"
        self.metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"

    def up(self) -> bool:
        assert self.process.poll() is None, self.ended(1)
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def ended(self, seconds: float) -> tuple[str, str]:
        """What it wrote to its output and its errors, after its end within so many seconds."""
        self.process.wait(seconds)
        return self.out.whole(), self.err.whole()


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
    served = Served(process, port, metrics_port)
    try:
        wait_until(served.up, 60)
        yield served
    finally:
        process.kill()
        served.ended(10)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from gateway.command import main; main()", "serve", *arguments]
    return subprocess.run(command, cwd=folder, env=surroundings(), text=True, capture_output=True, timeout=30)
