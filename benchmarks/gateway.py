"""How fast the gateway is, beside the stock ways to do its job: requests per second and latency of one
worker.

Upstream is nginx with a constant reply (no engine time at all), load is wrk, and each server in its turn
has one core for itself while nginx and wrk share another. Metrics and cost are on in the gateway. Needs
nginx and wrk (`apt-get install nginx-light wrk`), `taskset`, two cores and the project's development
environment; the rivals get their own environments in a temporary folder.

    python -m benchmarks.gateway                 the whole table, about ten minutes with downloads
    python -m benchmarks.gateway --seconds 2 --rows ours,bare --no-result
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
REPLY = (
    "[[ ## reasoning ## ]]\\nTwelve trays of 8 rolls are 96 rolls. 96 less 70 leaves 26.\\n\\n"
    "[[ ## answer ## ]]\\n26\\n\\n[[ ## completed ## ]]\\n"
)
QUESTION = "A baker makes 12 trays of 8 rolls and sells 70. How many are left?"
DEMOS = [
    {
        "question": f"A shop has {n} boxes of 6 cups and sells {n + 1} cups. How many cups are left?",
        "reasoning": f"{n} boxes of 6 cups are {6 * n} cups. {6 * n} less {n + 1} leaves {5 * n - 1}.",
        "answer": str(5 * n - 1),
    }
    for n in (4, 7, 9, 12)
]
CONNECTIONS = (1, 32)


class BenchmarkFailed(Exception):
    """One sentence for the person who runs it."""


@dataclass(frozen=True)
class Load:
    """What wrk saw: milliseconds as a client waits them, `failed` counts everything but 200."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    failed: int


@dataclass(frozen=True)
class Row:
    name: str
    one: Load
    many: Load


@dataclass(frozen=True)
class Bench:
    """Where and how long to measure."""

    folder: Path
    upstream: str
    seconds: int
    repeats: int
    server_core: int
    load_core: int

    def pinned(self, core: int, command: Sequence[str | Path]) -> list[str]:
        return ["taskset", "-c", str(core), *map(str, command)]


@dataclass(frozen=True)
class Server:
    """One way to do the job: a command, the model name to ask for, and a path that answers when it is up."""

    command: Sequence[str | Path]
    port: int
    model: str
    environment: Mapping[str, str]
    ready: str


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=10, help="seconds of one measurement")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of which the median counts")
    parser.add_argument("--rows", default=",".join(SERVERS), help="which servers, by name")
    parser.add_argument("--no-result", action="store_true", help="write no file to benchmarks/results")
    options = parser.parse_args()
    try:
        rows = measure(options.rows.split(","), options.seconds, options.repeats)
    except BenchmarkFailed as error:
        print(f"The benchmark stopped: {error}", file=sys.stderr)
        return 1
    print(table(rows))
    if not options.no_result:
        print(f"\nwritten to {write_result(rows, options.seconds, options.repeats)}")
    return 0


def measure(names: Sequence[str], seconds: int, repeats: int) -> list[Row]:
    """One row after the other, each with the machine for itself."""
    for tool in ("nginx", "wrk", "taskset"):
        if shutil.which(tool) is None and not Path("/usr/sbin", tool).exists():
            raise BenchmarkFailed(f"{tool!r} is not installed; apt-get install nginx-light wrk util-linux")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkFailed("two cores are needed: one for the server, one for its load")
    with (
        tempfile.TemporaryDirectory(prefix="smallforge-bench-") as place,
        nginx(Path(place), cores[0]) as upstream,
    ):
        bench = Bench(Path(place), upstream, seconds, repeats, cores[-1], cores[0])
        (bench.folder / "demos.json").write_text(json.dumps(DEMOS))
        rows = []
        for name in names:
            print(f"{name} ...", file=sys.stderr, flush=True)
            server = SERVERS[name](bench)
            with running(bench, server):
                rows.append(Row(name, *(load(bench, server, connections) for connections in CONNECTIONS)))
        return rows


@contextmanager
def nginx(folder: Path, core: int) -> Iterator[str]:
    """A server that answers every completion with the same reply, as fast as HTTP allows."""
    port = free_port()
    usage = '"usage":{"prompt_tokens":612,"completion_tokens":31,"total_tokens":643}'
    choice = f'{{"index":0,"message":{{"role":"assistant","content":"{REPLY}"}},"finish_reason":"stop"}}'
    reply = f'{{"id":"c","object":"chat.completion","created":1,"model":"tiny","choices":[{choice}],{usage}}}'
    reply = reply.replace("\\", "\\\\")  # nginx reads escapes in its own strings
    models = '{"object":"list","data":[{"id":"tiny","object":"model"}]}'
    (folder / "nginx.conf").write_text(
        f"""
        worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; keepalive_requests 1000000000; client_body_temp_path {folder};
            default_type application/json;
            server {{
                listen 127.0.0.1:{port};
                location = /v1/chat/completions {{ return 200 '{reply}'; }}
                location = /v1/models {{ return 200 '{models}'; }}
            }}
        }}
        """
    )
    command = ["taskset", "-c", str(core), "nginx", "-p", folder, "-c", folder / "nginx.conf"]
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    with process(list(map(str, command)), environment, folder / "nginx.out"):
        wait_for(f"http://127.0.0.1:{port}/v1/models", 10)
        yield f"http://127.0.0.1:{port}"


def ours(bench: Bench) -> Server:
    """The gateway with a release that has the same demonstrations, priced by the hour."""
    port, metrics = free_port(), free_port()
    asyncio.run(write_release_for(bench))
    (bench.folder / "smallforge.toml").write_text(
        f"""
        [engines.nginx]
        urls = ["{bench.upstream}"]
        model = "tiny"
        usd_per_hour = 0.10
        [students.default]
        engine = "nginx"
        """
    )
    command = [sys.executable, "-c", "from gateway.command import main; main()", "serve"]
    flags = ["--port", str(port), "--metrics-port", str(metrics)]
    return Server([*command, *flags], port, "shop", {"PYTHONPATH": str(ROOT)}, "/readyz")


async def write_release_for(bench: Bench) -> None:
    """Lowers a ChainOfThought with the demonstrations, as a build does, and makes it the champion."""
    import dspy

    from compiler.candidate import Candidate
    from compiler.lowering import lower
    from engine.client import EngineClient
    from engine.fingerprint import take_fingerprint
    from programs.aliases import move_alias
    from programs.plan import plan_as_dict
    from programs.program import Chat, Program
    from programs.release import Identity, canonical_json, digest, write_release

    program = Program(
        "shop",
        lambda: dspy.ChainOfThought("question -> answer"),
        lambda split: [],
        lambda example, prediction, trace=None: 1.0,
        Chat(user="question", answer="answer", reasoning=("reasoning",)),
    )
    async with EngineClient(bench.upstream, "tiny") as client:
        student = await take_fingerprint(client)
    candidate = Candidate("bench", {"predict": DEMOS})
    plan = lower(program.make_module(), program, candidate, None)
    body = canonical_json(plan_as_dict(plan))
    identity = Identity("shop", "plan", digest(body), "default", student.as_dict())
    path = write_release(bench.folder / "releases", identity, body, "benchmark", {})
    move_alias(path.parent, "champion", path.name, "the only one")


def bare(bench: Bench) -> Server:
    port = free_port()
    script = HERE / "rivals" / "bare_fastapi.py"
    command = [sys.executable, script, bench.upstream, bench.folder / "demos.json", str(port)]
    return Server(command, port, "any", {}, "/openapi.json")


def stock(bench: Bench) -> Server:
    port = free_port()
    python = environment(bench, "stock", [f"dspy=={version('dspy')}", "fastapi", "uvicorn[standard]"])
    command = [
        python,
        HERE / "rivals" / "stock_dspy.py",
        bench.upstream,
        bench.folder / "demos.json",
        str(port),
    ]
    return Server(command, port, "any", {"DSPY_CACHEDIR": str(bench.folder / "dspy")}, "/openapi.json")


def litellm(bench: Bench) -> Server:
    """LiteLLM's proxy passes chats on as they are: no program, no prompt to fill, no reply to read."""
    port = free_port()
    python = environment(bench, "litellm", ["litellm[proxy]"])
    target = {"model": "openai/tiny", "api_base": f"{bench.upstream}/v1", "api_key": "unused"}
    config = bench.folder / "litellm.json"
    config.write_text(json.dumps({"model_list": [{"model_name": "tiny", "litellm_params": target}]}))
    command = [python.parent / "litellm", "--config", config, "--port", str(port), "--num_workers", "1"]
    local = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    return Server([*command, "--host", "127.0.0.1"], port, "tiny", local, "/health/liveliness")


SERVERS: dict[str, Callable[[Bench], Server]] = {
    "ours": ours,
    "bare": bare,
    "stock": stock,
    "litellm": litellm,
}


def environment(bench: Bench, name: str, packages: Sequence[str]) -> Path:
    """A fresh virtual environment with these packages; gives its Python."""
    home = bench.folder / name
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    installed = subprocess.run(
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        raise BenchmarkFailed(f"pip can't install {', '.join(packages)}: {installed.stderr[-500:]}")
    return python


@contextmanager
def running(bench: Bench, server: Server) -> Iterator[None]:
    log = bench.folder / "server.log"
    surroundings = {**os.environ, **server.environment}
    with process(bench.pinned(bench.server_core, server.command), surroundings, log, bench.folder) as started:
        url = f"http://127.0.0.1:{server.port}"
        wait_for(url + server.ready, 90, started, log)
        answer = ask(f"{url}/v1/chat/completions", server.model)
        if "26" not in answer:
            raise BenchmarkFailed(f"{server.command[0]} answers {answer[:200]!r}")
        yield


@contextmanager
def process(
    command: Sequence[str], surroundings: Mapping[str, str], log: Path, folder: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        started = subprocess.Popen(command, env=surroundings, cwd=folder, stdout=output, stderr=output)
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def load(bench: Bench, server: Server, connections: int) -> Load:
    """The median of several measurements, after a short one that does not count."""
    script = bench.folder / "load.lua"
    script.write_text(LUA % {"body": request_body(server.model)})
    url = f"http://127.0.0.1:{server.port}/v1/chat/completions"
    wrk = ["wrk", "-t1", f"-c{connections}", "--timeout", "30s", "-s", script]
    run_wrk(bench, [*wrk, "-d2s", url])
    found = [run_wrk(bench, [*wrk, f"-d{bench.seconds}s", url]) for _ in range(bench.repeats)]
    return sorted(found, key=lambda load: load.requests_per_second)[len(found) // 2]


LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer unused"
wrk.body = '%(body)s'
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format('RESULT {"n":%%d,"us":%%d,"p50":%%d,"p99":%%d,"failed":%%d}\\n', summary.requests,
        summary.duration, latency:percentile(50), latency:percentile(99),
        e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def run_wrk(bench: Bench, command: Sequence[str | Path]) -> Load:
    ended = subprocess.run(
        bench.pinned(bench.load_core, command), capture_output=True, text=True, check=False
    )
    for line in ended.stdout.splitlines():
        if line.startswith("RESULT "):
            seen = json.loads(line.removeprefix("RESULT "))
            rate = seen["n"] / (seen["us"] / 1e6)
            return Load(round(rate, 1), seen["p50"] / 1000, seen["p99"] / 1000, seen["failed"])
    raise BenchmarkFailed(f"wrk failed: {ended.stderr[-300:]}")


def request_body(model: str) -> str:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": QUESTION}]})


def ask(url: str, model: str) -> str:
    headers = {"Content-Type": "application/json", "Authorization": "Bearer unused"}
    request = urllib.request.Request(url, request_body(model).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return str(json.load(reply)["choices"][0]["message"]["content"])
    except (urllib.error.URLError, KeyError, ValueError) as error:
        return f"an error: {error}"


def wait_for(
    url: str, seconds: float, started: subprocess.Popen[bytes] | None = None, log: Path | None = None
) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and (started is None or started.poll() is None):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise BenchmarkFailed(f"nothing answers at {url}: {log.read_text()[-800:] if log else ''}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def table(rows: Sequence[Row]) -> str:
    lines = [
        f"{'':10}{'1 connection':>32}{'32 connections':>38}",
        f"{'':10}" + f"{'req/s':>12}{'p50 ms':>10}{'p99 ms':>10}" * 2,
    ]
    best = next((row for row in rows if row.name == "ours"), None)
    for row in rows:
        cells = "".join(
            f"{x.requests_per_second:12.1f}{x.p50_ms:10.2f}{x.p99_ms:10.2f}" for x in (row.one, row.many)
        )
        ratio = f"   ours is {ratio_of(best, row):.1f}x" if best and row is not best else ""
        lines.append(f"{row.name:10}{cells}{ratio}")
    return "\n".join(lines)


def ratio_of(best: Row, row: Row) -> float:
    return best.many.requests_per_second / row.many.requests_per_second


def write_result(rows: Sequence[Row], seconds: int, repeats: int) -> Path:
    now = datetime.now(UTC)
    best = next((row for row in rows if row.name == "ours"), None)
    result = {
        "date": now.isoformat(timespec="seconds"),
        "machine": machine(),
        "method": {
            "seconds": seconds,
            "repeats": repeats,
            "upstream": "nginx",
            "load": "wrk",
            "server_cores": 1,
        },
        "rows": [asdict(row) for row in rows],
        "ratios_at_32": {row.name: round(ratio_of(best, row), 2) for row in rows if best and row is not best},
    }
    path = HERE / "results" / f"{now:%Y-%m-%d}-gateway.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path


def machine() -> dict[str, Any]:
    cpu = next(
        (line.split(":", 1)[1].strip() for line in cpu_lines() if line.startswith("model name")), "unknown"
    )
    packages = ("fastapi", "uvicorn", "uvloop", "aiohttp", "orjson", "prometheus-client", "dspy")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        "packages": {name: version(name) for name in packages},
    }


def cpu_lines() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main())
