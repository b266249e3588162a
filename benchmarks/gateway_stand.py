"""The stand on which the gateway is measured: what has which core, our gateway set up in it, what it is held
to, and where a result goes.

One core is the server's alone; the other has the upstream and the load.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.surroundings import BenchmarkFailed, Command, free_port, pinned, process, wait_for

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DEMOS = [
    {
        "question": f"A shop has {n} boxes of 6 cups and sells {n + 1} cups. How many cups are left?",
        "reasoning": f"{n} boxes of 6 cups are {6 * n} cups. {6 * n} less {n + 1} leaves {5 * n - 1}.",
        "answer": str(5 * n - 1),
    }
    for n in (4, 7, 9, 12)
]
QUESTION = "A baker makes 12 trays of 8 rolls and sells 70. How many are left?"
PASSED, STOPPED, MISSED = 0, 1, 3


@dataclass(frozen=True)
class Stand:
    folder: Path
    server_core: int
    load_core: int


@dataclass(frozen=True)
class Server:
    """Something to measure: a command, what to ask it, and a path that answers when it is up."""

    command: Command
    port: int
    body: Mapping[str, Any]
    ready: str
    path: str = "/v1/chat/completions"
    headers: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def all_headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json", "Authorization": "Bearer unused", **self.headers}

    def request(self) -> str:
        """Its request as `benchmarks.arrivals` reads it."""
        return json.dumps({"path": self.path, "headers": self.all_headers, "body": self.body})


@contextmanager
def stand(*tools: str) -> Iterator[Stand]:
    """A folder that goes with it, and two cores. Raises BenchmarkFailed where a tool is missing."""
    for tool in ("taskset", *tools):
        if shutil.which(tool) is None and not Path("/usr/sbin", tool).exists():
            raise BenchmarkFailed(f"{tool!r} is not installed; apt-get install nginx-light wrk util-linux")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkFailed("two cores are needed: one for the server, one for its load")
    with tempfile.TemporaryDirectory(prefix="smallforge-bench-") as place:
        yield Stand(Path(place), server_core=cores[-1], load_core=cores[0])


def chat(model: str, question: str = QUESTION) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": question}]}


def gateway(stand: Stand, upstream: str, releases: int = 1) -> Server:
    """Our gateway before an upstream, priced by the hour, with this many releases of one program."""
    port, metrics = free_port(), free_port()
    names = ["shop", *(f"shop_{number}" for number in range(2, releases + 1))]
    asyncio.run(write_releases(stand.folder / "releases", upstream, names))
    (stand.folder / "smallforge.toml").write_text(
        f"""
        [engines.upstream]
        urls = ["{upstream}"]
        model = "tiny"
        usd_per_hour = 0.10
        [students.default]
        engine = "upstream"
        [gateway]
        warm = false
        """
    )
    command = [sys.executable, "-m", "gateway", "serve", "--port", str(port), "--metrics-port", str(metrics)]
    return Server(command, port, chat("shop"), "/readyz", environment={"PYTHONPATH": str(ROOT)})


async def write_releases(folder: Path, upstream: str, names: Sequence[str]) -> None:
    """Lowers a ChainOfThought with the demonstrations, as a build does, and makes it each name's champion."""
    import dspy

    from compiler.candidate import Candidate
    from compiler.lowering import lower
    from engine.client import EngineClient
    from engine.fingerprint import take_fingerprint
    from programs.aliases import move_alias
    from programs.plan import plan_as_dict
    from programs.program import Chat, Program
    from programs.release import Identity, canonical_json, digest, write_release

    async with EngineClient(upstream, "tiny") as client:
        student = await take_fingerprint(client)
    for name in names:
        program = Program(
            name,
            lambda: dspy.ChainOfThought("question -> answer"),
            lambda split: [],
            lambda example, prediction, trace=None: 1.0,
            Chat(user="question", answer="answer", reasoning=("reasoning",)),
        )
        plan = lower(program.make_module(), program, Candidate("bench", {"predict": DEMOS}), None)
        body = canonical_json(plan_as_dict(plan))
        identity = Identity(name, "plan", digest(body), "default", student.as_dict())
        path = write_release(folder, identity, body, "benchmark", {})
        move_alias(path.parent, "champion", path.name, "the only one")


@contextmanager
def running(stand: Stand, server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """The server on its core, once it has answered as it should."""
    log = stand.folder / "server.log"
    surroundings = {**os.environ, **server.environment}
    with process(pinned(stand.server_core, server.command), surroundings, log, stand.folder) as started:
        wait_for(server.url + server.ready, 240, started, log)
        answer = ask(server)
        if "26" not in answer:
            raise BenchmarkFailed(f"{server.command[0]} answers {answer[:300]!r}")
        yield started


def ask(server: Server) -> str:
    data = json.dumps(server.body).encode()
    request = urllib.request.Request(server.url + server.path, data, server.all_headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return str(reply.read().decode())
    except urllib.error.HTTPError as error:
        return f"{error}: {error.read().decode(errors='replace')}"
    except urllib.error.URLError as error:
        return f"an error: {error}"


@dataclass(frozen=True)
class Verdict:
    """A number and what it is held to. `value` is None where it was not measured, which fails nothing.

    One that does not `count` depends on the machine and is told only.
    """

    what: str
    value: float | None
    bound: float
    at_least: bool = True
    counts: bool = True

    @property
    def held(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def line(self) -> str:
        words = {True: "passed", False: "FAILED" if self.counts else "missed", None: "not measured"}
        side = "at least" if self.at_least else "at most"
        value = (
            "-" if self.value is None else f"{self.value:,.3g}" if self.value < 1000 else f"{self.value:,.0f}"
        )
        return f"{words[self.held]:13}{self.what}: {value} ({side} {self.bound:,g})"


def exit_code(verdicts: Sequence[Verdict]) -> int:
    return MISSED if any(verdict.counts and verdict.held is False for verdict in verdicts) else PASSED


def write_result(name: str, found: Mapping[str, Any], verdicts: Sequence[Verdict]) -> Path:
    """The result with date and machine, in a file of the day."""
    now = datetime.now(UTC)
    result = {
        "date": now.isoformat(timespec="seconds"),
        "machine": machine(),
        **found,
        "verdicts": [{**asdict(verdict), "held": verdict.held} for verdict in verdicts],
    }
    path = RESULTS / f"{now:%Y-%m-%d}-{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path.relative_to(ROOT)


def machine() -> dict[str, Any]:
    packages = ("fastapi", "uvicorn", "uvloop", "httptools", "orjson", "prometheus-client")
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
        "packages": {name: version(name) for name in packages},
    }
