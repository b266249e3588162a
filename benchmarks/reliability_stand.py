"""What the reliability numbers are measured on: a gateway, engines behind it, and clients that may leave."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.surroundings import BenchmarkFailed, free_port, pinned, process, wait_for
from engine.client import EngineClient
from engine.fingerprint import Fingerprint, take_fingerprint
from programs.aliases import move_alias
from programs.plan import Field, Message, Plan, plan_as_dict
from programs.program import Chat, Sampling
from programs.release import Identity, canonical_json, digest, write_release

PROGRAM = "quiz"
ROOT = Path(__file__).parent.parent
SURROUNDINGS = {**os.environ, "PYTHONPATH": str(ROOT)}


@dataclass
class Engine:
    """A faulty upstream as a process that can be killed, on one core if that is named."""

    folder: Path
    core: int | None = None
    port: int = field(default_factory=free_port)
    _running: ExitStack = field(default_factory=ExitStack)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "benchmarks.faulty_upstream", str(self.port)]
        log = self.folder / f"engine-{self.port}.log"
        self._process = self._running.enter_context(process(on_core(self.core, command), SURROUNDINGS, log))
        wait_for(f"{self.url}/running", 30, self._process, log, every=0.05)

    def kill(self) -> None:
        """kill -9: whatever it worked on breaks off."""
        assert self._process is not None, "only what runs is killed"
        self._process.kill()
        self._running.close()

    def stop(self) -> None:
        """Once what it works on is answered."""
        self._running.close()

    def running(self) -> int:
        with urllib.request.urlopen(f"{self.url}/running", timeout=5) as page:
            return int(json.load(page)["running"])


@dataclass(frozen=True)
class Stand:
    """A gateway that serves programs from these engines; `served` is its process."""

    folder: Path
    port: int
    metrics_port: int
    engines: Sequence[Engine]
    served: subprocess.Popen[bytes]

    def has_all_engines(self) -> bool:
        """Whether the worker that was asked has, and goes on."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as page:
                return bool(json.load(page)["students"] == {})
        except OSError:  # an answer of 503 among them
            return False

    def is_served(self, program: str, version: str) -> bool:
        """Whether this release answers for the program."""
        answer = asyncio.run(ask(self.port, "echo=26", program))
        return answer.header("x-smallforge-release") == f"{program}@{version}"

    def metric(self, name: str) -> float:
        """The sum of a metric's series."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as page:
            text = page.read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


class Cores(NamedTuple):
    """Which the gateway has, and which the engines; None is whichever is free."""

    gateway: int | None = None
    engines: int | None = None


ANY = Cores()


@contextmanager
def standing(
    folder: Path,
    engines: int,
    settings: str = "",
    *,
    gateway: str = "",
    programs: Sequence[str] = (PROGRAM,),
    cores: Cores = ANY,
) -> Iterator[Stand]:
    """The engines, and before them a gateway; further lines for the engines' table and for `[gateway]`."""
    with ExitStack() as stack:
        started = [Engine(folder, cores.engines) for _ in range(engines)]
        for engine in started:
            engine.start()
            stack.callback(engine.stop)
        for program in programs:
            put_release(folder / "releases", program, "Answer the question.", started[0].url)
        urls = ", ".join(f'"{engine.url}"' for engine in started)
        text = f'[engines.scripted]\nurls = [{urls}]\nmodel = "tiny"\nusd_per_hour = 1.0\n{settings}\n'
        port, metrics_port = free_port(), free_port()
        text += '[students.default]\nengine = "scripted"\n'
        text += f"[gateway]\nport = {port}\nmetrics_port = {metrics_port}\n{gateway}\n"
        (folder / "smallforge.toml").write_text(text)
        log = folder / "gateway.log"
        command = on_core(cores.gateway, [sys.executable, "-m", "gateway", "serve"])
        served = stack.enter_context(process(command, SURROUNDINGS, log, folder))
        wait_for(f"http://127.0.0.1:{port}/readyz", 60, served, log)
        stand = Stand(folder, port, metrics_port, started, served)
        wait_until(stand.has_all_engines, 30, "the gateway never had all of its engines")
        yield stand


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder that goes when the block ends."""
    with tempfile.TemporaryDirectory(prefix="smallforge-reliability-") as place:
        yield Path(place)


def wait_until(holds: Callable[[], bool], seconds: float, otherwise: str) -> float:
    """Waits for something; gives how long that took. Raises BenchmarkFailed."""
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > seconds:
            raise BenchmarkFailed(otherwise)
        time.sleep(0.02)
    return time.monotonic() - begun


def on_core(core: int | None, command: Sequence[str]) -> Sequence[str]:
    return command if core is None else pinned(core, command)


def put_release(releases: Path, program: str, prompt: str, url: str) -> str:
    """Writes a release of this prompt for the engine at the URL and makes it champion; gives its version."""
    plan = Plan(
        program=program,
        prefix=(Message("system", prompt),),
        inputs=(Field("question"),),
        outputs=(Field("reasoning"), Field("answer")),
        reminder="Respond with `[[ ## reasoning ## ]]`, then `[[ ## answer ## ]]`.",
        chat=Chat(user="question", answer="answer", reasoning=("reasoning",)),
        sampling=Sampling(max_tokens=200),
    )
    body = canonical_json(plan_as_dict(plan))
    identity = Identity(program, "plan", digest(body), "default", asyncio.run(_fingerprint(url)).as_dict())
    path = write_release(releases, identity, body, "benchmark", {})
    move_alias(path.parent, "champion", path.name, "the newest")
    return path.name


async def _fingerprint(url: str) -> Fingerprint:
    async with EngineClient(url, "tiny") as client:
        return await take_fingerprint(client)


class Answer(NamedTuple):
    """What a client saw. `status` is 0 where the gateway closed the connection without a word."""

    status: int
    head: str
    body: bytes
    seconds: float

    @property
    def error(self) -> str | None:
        """The code of its error, in the body or as a stream's last event."""
        found = re.findall(rb'"code":\s?"(\w+)"', self.body) if b'"error"' in self.body else []
        return found[-1].decode() if found else None

    @property
    def begun(self) -> bool:
        """Whether some of a stream's answer was sent."""
        return b"chat.completion.chunk" in self.body

    def header(self, name: str) -> str | None:
        found = re.search(rf"^{name}: *(.*?)\r?$", self.head, re.IGNORECASE | re.MULTILINE)
        return found[1] if found else None


async def ask(port: int, question: str, model: str = PROGRAM, *, stream: bool = False) -> Answer:
    """One request on a connection of its own, read to its end."""
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request(question, stream, model))
        data = await reader.read()
    except ConnectionError:
        data = b""
    finally:
        writer.close()
    head, _, body = data.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.1 ") else 0
    return Answer(status, head.decode(errors="replace"), body, time.monotonic() - begun)


async def leave(port: int, question: str, *, stream: bool, seconds: float, begun: bool = False) -> None:
    """Asks, and leaves after so many seconds; with `begun` they count from the answer's first text."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request(question, stream))
        if begun:
            await reader.readuntil(b"chat.completion.chunk")
        await asyncio.sleep(seconds)
    finally:
        writer.close()


def request(question: str, stream: bool, model: str = PROGRAM) -> bytes:
    chat = {"model": model, "messages": [{"role": "user", "content": question}], "stream": stream}
    body = json.dumps(chat).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
