"""How fast the gateway is, beside the stock ways to do its job and the least that could do it.

Upstream is nginx with a constant reply (no engine time at all). Each server in its turn has one core for
itself and one worker, while nginx and the load share another; metrics and cost are on in the gateway.
Requests per second are wrk's with 32 connections; latencies are those of 200 requests a second that come
whether answers do or not, counted from the time at which each was due. Passes or fails on ratios within the
run. Needs nginx and wrk (`apt-get install nginx-light wrk`), `taskset`, two cores and the project's
development environment; the rivals get environments of their own, Portkey's needs `node` and `npm`.

    python -m benchmarks.gateway                 the whole table, about twenty minutes with downloads
    python -m benchmarks.gateway --write-readme  and puts it into README.md
    python -m benchmarks.gateway --seconds 1 --repeats 1 --rows floor,ours,asgi --no-result
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from benchmarks.arrivals import Arrivals
from benchmarks.gateway_rows import Row, Turn, page_table, ratio, table, verdicts
from benchmarks.gateway_stand import (
    ROOT,
    STOPPED,
    Server,
    Stand,
    exit_code,
    machine,
    running,
    stand,
    write_result,
)
from benchmarks.process_tree import taken_by
from benchmarks.rivals.servers import SERVERS, Bench, NotHere
from benchmarks.surroundings import BenchmarkFailed, nginx, pinned, write_between

CONNECTIONS, RATE = 32, 200


class Measured(NamedTuple):
    """What could be measured, and why the others could not."""

    rows: Mapping[str, Row]
    absent: Mapping[str, str]


def main() -> int:
    """Exit codes: 0 all bounds held, 1 the benchmark could not run, 3 a bound was missed."""
    options = read_options()
    try:
        rows, absent = measure(options)
    except BenchmarkFailed as error:
        print(f"The benchmark stopped: {error}", file=sys.stderr)
        return STOPPED
    judged = verdicts(rows)
    print(table(rows, absent))
    print("", *(verdict.line() for verdict in judged), sep="\n")
    if not options.no_result:
        method = {
            "seconds": options.seconds,
            "repeats": options.repeats,
            "upstream": "nginx",
            "server_cores": 1,
        }
        load = {"closed": f"wrk, {CONNECTIONS} connections", "open": f"{RATE} requests a second"}
        found = {
            "method": method | load,
            "rows": {
                name: {**asdict(row.typical), "turns": [*map(asdict, row.turns)]}
                for name, row in rows.items()
            },
            "ratios": {name: round(ratio(rows, name) or 0, 3) for name in rows if "ours" in rows},
            "absent": absent,
        }
        print(f"\nwritten to {write_result('gateway', found, judged)}")
    if options.write_readme:
        write_between(ROOT / "README.md", "gateway speed", section(rows, absent))
    return exit_code(judged)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seconds", type=int, default=10, help="seconds of one measurement")
    add("--repeats", type=int, default=3, help="rounds through all servers; medians count")
    add("--rows", default=",".join(SERVERS), help="which servers, by name")
    add("--environments", type=Path, help="keep the rivals' environments in this folder for another run")
    add("--no-result", action="store_true", help="write no file to benchmarks/results")
    add("--write-readme", action="store_true", help="put the table into README.md")
    return parser.parse_args()


def measure(options: argparse.Namespace) -> Measured:
    """Makes everything ready, then one row after the other, each with the machine for itself."""
    with stand("nginx", "wrk") as place, nginx(place.folder, place.load_core) as upstream:
        environments = (options.environments or place.folder).resolve()
        servers, absent = make_ready(Bench(place, environments, upstream), options.rows.split(","))
        seen: dict[str, list[Turn]] = {name: [] for name in servers}
        # In rounds, so that whatever else the machine does falls on all of them alike.
        for turn in range(options.repeats):
            for name, server in servers.items():
                say(f"round {turn + 1}: {name} ...")
                seen[name].append(take_turn(place, server, options.seconds))
        return Measured({name: Row(name, turns) for name, turns in seen.items()}, absent)


def make_ready(bench: Bench, names: list[str]) -> tuple[dict[str, Server], dict[str, str]]:
    """The servers that can run here, and why others can't."""
    servers: dict[str, Server] = {}
    absent: dict[str, str] = {}
    for name in names:
        say(f"making ready: {name} ...")
        try:
            servers[name] = SERVERS[name](bench)
        except NotHere as error:
            absent[name] = str(error)
    return servers, absent


def take_turn(stand: Stand, server: Server, seconds: int) -> Turn:
    """Throughput first, after a short load that does not count; then latency, then memory."""
    with running(stand, server) as started:
        run_wrk(stand, server, 2 if seconds > 2 else 1)
        before = taken_by(started.pid)
        requests, lasted, failed = run_wrk(stand, server, seconds)
        if not requests:
            raise BenchmarkFailed(f"{server.command[0]} answered nothing in {seconds} s of load")
        after = taken_by(started.pid)
        arrivals = offer(stand, server, seconds)
        memory = taken_by(started.pid)
    return Turn(
        requests_per_second=round(requests / lasted, 1),
        p50_ms=arrivals.p50_ms,
        p99_ms=arrivals.p99_ms,
        cpu_ms=round(1000 * (after.cpu_seconds - before.cpu_seconds) / requests, 4),
        rss_mib=round(memory.rss_mib, 1),
        pss_mib=round(memory.pss_mib, 1),
        failed=failed + arrivals.failed,
        kept_up=arrivals.kept_up,
    )


LUA = """
wrk.method = "POST"
%(headers)s
wrk.body = [==[%(body)s]==]
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format('RESULT [%%d,%%d,%%d]\\n', summary.requests, summary.duration,
        e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def lua(server: Server) -> str:
    """The server's request as a script for wrk."""
    headers = "\n".join(
        f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in server.all_headers.items()
    )
    return LUA % {"headers": headers, "body": json.dumps(server.body)}


def run_wrk(stand: Stand, server: Server, seconds: int) -> tuple[int, float, int]:
    """Requests answered, seconds, and failures: everything but 200."""
    script = stand.folder / "load.lua"
    script.write_text(lua(server))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script)]
    ended = subprocess.run(
        pinned(stand.load_core, [*command, server.url + server.path]),
        capture_output=True,
        text=True,
        check=False,
    )
    for line in ended.stdout.splitlines():
        if line.startswith("RESULT "):
            requests, microseconds, failed = json.loads(line.removeprefix("RESULT "))
            return requests, microseconds / 1e6, failed
    raise BenchmarkFailed(f"wrk failed: {ended.stderr[-300:]}")


def offer(stand: Stand, server: Server, seconds: int) -> Arrivals:
    """Load at a constant rate, from a process of its own."""
    request = stand.folder / "request.json"
    request.write_text(server.request())
    command = [sys.executable, "-m", "benchmarks.arrivals", str(server.port), str(request)]
    command += ["--rate", str(RATE), "--seconds", str(seconds)]
    ended = subprocess.run(
        pinned(stand.load_core, command), cwd=ROOT, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise BenchmarkFailed(f"the load at a constant rate failed: {ended.stderr[-500:]}")
    return Arrivals(**json.loads(ended.stdout))


def section(rows: Mapping[str, Row], absent: Mapping[str, str]) -> str:
    """The README's words around the table."""
    about = machine()
    words = (
        f"One worker on one core ({about['cpu']}, Python {about['python']}), metrics and cost on, before an "
        f"upstream that takes no time. Requests per second with {CONNECTIONS} connections; waits at {RATE} "
        "requests a second, counted from the time at which each was due (*overrun*: not kept up with); CPU "
        "per request; memory. `python -m benchmarks.gateway` measures it."
    )
    wrapped = "\n".join(textwrap.wrap(words, 120))
    return f"\n## How fast the gateway is\n\n{wrapped}\n\n{page_table(rows, absent)}\n"


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
