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
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.rivals.servers import DEMOS, SERVERS, Bench, Server
from benchmarks.surroundings import BenchmarkFailed, Command, nginx, process, wait_for

HERE = Path(__file__).parent
QUESTION = "A baker makes 12 trays of 8 rolls and sells 70. How many are left?"
CONNECTIONS = (1, 32)


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


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=10, help="seconds of one measurement")
    parser.add_argument(
        "--repeats", type=int, default=3, help="rounds through all servers; the median counts"
    )
    parser.add_argument("--rows", default=",".join(SERVERS), help="which servers, by name")
    parser.add_argument(
        "--environments", type=Path, help="keep the rivals' environments in this folder for another run"
    )
    parser.add_argument("--no-result", action="store_true", help="write no file to benchmarks/results")
    options = parser.parse_args()
    try:
        rows = measure(options)
    except BenchmarkFailed as error:
        print(f"The benchmark stopped: {error}", file=sys.stderr)
        return 1
    print(table(rows))
    if not options.no_result:
        print(f"\nwritten to {write_result(rows, options.seconds, options.repeats)}")
    return 0


def measure(options: argparse.Namespace) -> list[Row]:
    """Makes everything ready, then one row after the other, each with the machine for itself."""
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
        folder = Path(place)
        bench = Bench(
            folder=folder,
            environments=(options.environments or folder).resolve(),
            upstream=upstream,
            seconds=options.seconds,
            server_core=cores[-1],
            load_core=cores[0],
        )
        (folder / "demos.json").write_text(json.dumps(DEMOS))
        print("making ready ...", file=sys.stderr, flush=True)
        servers = {name: SERVERS[name](bench) for name in options.rows.split(",")}
        seen: dict[tuple[str, int], list[Load]] = {}
        # In rounds, so that whatever else the machine does falls on all of them alike.
        for turn in range(options.repeats):
            for name, server in servers.items():
                print(f"round {turn + 1}: {name} ...", file=sys.stderr, flush=True)
                with running(bench, server):
                    for connections in CONNECTIONS:
                        seen.setdefault((name, connections), []).append(load(bench, server, connections))
        return [
            Row(name, *(median(seen[name, connections]) for connections in CONNECTIONS)) for name in servers
        ]


def median(loads: Sequence[Load]) -> Load:
    return sorted(loads, key=lambda load: load.requests_per_second)[len(loads) // 2]


@contextmanager
def running(bench: Bench, server: Server) -> Iterator[None]:
    log = bench.folder / "server.log"
    surroundings = {**os.environ, **server.environment}
    with process(bench.pinned(bench.server_core, server.command), surroundings, log, bench.folder) as started:
        url = f"http://127.0.0.1:{server.port}"
        wait_for(url + server.ready, 240, started, log)
        answer = ask(f"{url}/v1/chat/completions", server.model)
        if "26" not in answer:
            raise BenchmarkFailed(f"{server.command[0]} answers {answer[:200]!r}")
        yield


def load(bench: Bench, server: Server, connections: int) -> Load:
    """One measurement, after a short one that does not count."""
    script = bench.folder / "load.lua"
    script.write_text(LUA % {"body": request_body(server.model)})
    url = f"http://127.0.0.1:{server.port}/v1/chat/completions"
    wrk: Command = ["wrk", "-t1", f"-c{connections}", "--timeout", "30s", "-s", script]
    run_wrk(bench, [*wrk, "-d2s", url])
    return run_wrk(bench, [*wrk, f"-d{bench.seconds}s", url])


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


def run_wrk(bench: Bench, command: Command) -> Load:
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
