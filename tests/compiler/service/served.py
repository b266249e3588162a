"""The console as a real server on a free port, in a user's folder; and builds that are only told of."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from compiler.event_file import RunBegan, RunEnded, line_of
from compiler.events import Began, Event
from compiler.service.app import create_app
from compiler.service.places import Place, Run
from engine.settings import Settings, read_settings
from tests.compiler.interrupted import SUMS

DONE = ("estimated", "done", "missed", "failed", "cancelled")


def furnish(folder: Path, student: str = "http://127.0.0.1:9", **console: object) -> Settings:
    """The settings of a folder that holds a program file, some rows and a link out of it."""
    (folder / "programs").mkdir()
    (folder / "programs" / "sums.py").write_text(SUMS)
    (folder / "data").mkdir()
    rows = (f'{{"question": "What is {n} + {n // 2}?", "answer": "{n + n // 2}"}}\n' for n in range(60))
    (folder / "data" / "sums.jsonl").write_text("".join(rows))
    (folder / "smallforge.toml").write_text(
        f"""
        student = "{student}"
        releases = "{folder}/releases"
        state = "{folder}/state"

        [compiler]
        mlflow_uri = "off"

        [console]
        folders = ["{folder}/data"]
        programs = ["{folder}/programs"]
        program = "{folder}/programs/sums.py"
        """
    )
    return read_settings(folder / "smallforge.toml", {"console": console})


@contextmanager
def serving(folder: Path, settings: Settings, place: Place | None = None) -> Iterator[httpx.Client]:
    """A client of the server, until the block ends and the server with it."""
    app = create_app(settings, [f"--config={folder}/smallforge.toml"], place)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def until(client: httpx.Client, job_id: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The job, once it stands as wanted."""
    for _ in range(2_000):
        job: dict[str, Any] = client.get(f"/api/jobs/{job_id}").json()
        if wanted(job):
            return job
        time.sleep(0.05)
    raise AssertionError(f"the job never stood so: {job}")


def ended(job: dict[str, Any]) -> bool:
    return job["state"] in DONE


@dataclass
class Told:
    """A place where nothing runs: a test says what each build writes down, and when it ends."""

    runs: list[Run] = field(default_factory=list)
    running: set[Path] = field(default_factory=set)
    interrupted: list[Path] = field(default_factory=list)
    mute: bool = False
    """Whether builds end before they have written a word."""

    async def start(self, run: Run) -> str:
        self.runs.append(run)
        self.running.add(run.folder)
        self.tell(run.folder, RunBegan(), Began(run.folder.name))
        return str(len(self.runs))

    async def alive(self, folder: Path, name: str | None) -> bool:
        return folder in self.running

    async def interrupt(self, folder: Path, name: str | None) -> None:
        self.interrupted.append(folder)
        self.end(folder, 130, "Interrupted; no release was written.")

    async def why_ended(self, folder: Path, name: str | None) -> str | None:
        return None

    def tell(self, folder: Path, *events: Event | RunBegan | RunEnded) -> None:
        if self.mute:
            return
        with (folder / "events.jsonl").open("ab") as file:
            file.write(b"".join(line_of(event) for event in events))

    def end(self, folder: Path, code: int, *sentences: str) -> None:
        self.tell(folder, RunEnded(code, sentences))
        self.running.discard(folder)
