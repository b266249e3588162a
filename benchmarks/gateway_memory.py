"""What the gateway holds: memory over many requests, and the time until it is ready with many releases.

One worker with 50 releases before nginx with a constant reply; wrk asks one of them with 32 connections.
Memory is flat if what is held after all requests is hardly more than after the first tenth. Needs nginx and
wrk (`apt-get install nginx-light wrk`), `taskset`, two cores and the project's development environment.

    python -m benchmarks.gateway_memory
    python -m benchmarks.gateway_memory --requests 2000 --no-result
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.gateway import run_wrk
from benchmarks.gateway_stand import (
    STOPPED,
    Server,
    Stand,
    Verdict,
    exit_code,
    gateway,
    running,
    stand,
    write_result,
)
from benchmarks.process_tree import taken_by
from benchmarks.surroundings import BenchmarkFailed, nginx, pinned, process, wait_for

MOST_MIB, MOST_GROWTH_MIB, MOST_START_SECONDS = 150.0, 3.0, 1.0
STARTS = 5


@dataclass(frozen=True)
class Sample:
    """What the gateway held after so many requests."""

    requests: int
    rss_mib: float
    pss_mib: float


@dataclass(frozen=True)
class Held:
    """`starts` are the seconds until /readyz answered 200, of each start."""

    releases: int
    starts: Sequence[float]
    samples: Sequence[Sample]
    failed: int

    @property
    def growth_mib(self) -> float:
        """From the first tenth of the requests to their end."""
        tenth = self.samples[-1].requests / 10
        early = next(sample for sample in self.samples if sample.requests >= tenth)
        return self.samples[-1].rss_mib - early.rss_mib


def main() -> int:
    """Exit codes: 0 all bounds held, 1 the benchmark could not run, 3 a bound was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--requests", type=int, default=200_000)
    add("--releases", type=int, default=50)
    add("--no-result", action="store_true", help="write no file to benchmarks/results")
    options = parser.parse_args()
    try:
        held = measure(options.requests, options.releases)
    except BenchmarkFailed as error:
        print(f"The benchmark stopped: {error}", file=sys.stderr)
        return STOPPED
    judged = verdicts(held)
    for sample in held.samples:
        print(f"{sample.requests:10,} requests {sample.rss_mib:8.1f} MiB RSS {sample.pss_mib:8.1f} MiB PSS")
    print(*(verdict.line() for verdict in judged), sep="\n")
    if not options.no_result:
        found: dict[str, Any] = {"method": {"upstream": "nginx", "load": "wrk, 32 connections"}}
        print(f"written to {write_result('gateway-memory', found | asdict(held), judged)}")
    return exit_code(judged)


def measure(requests: int, releases: int) -> Held:
    with stand("nginx", "wrk") as place, nginx(place.folder, place.load_core) as upstream:
        server = gateway(place, upstream, releases)
        starts = [round(start(place, server), 3) for _ in range(STARTS)]
        with running(place, server) as started:
            samples, failed = load(place, server, started, requests)
    return Held(releases, starts, samples, failed)


def start(stand: Stand, server: Server) -> float:
    """Seconds from the command to the first answer that says it is ready."""
    log = stand.folder / "server.log"
    begun = time.monotonic()
    command = pinned(stand.server_core, server.command)
    with process(command, {**os.environ, **server.environment}, log, stand.folder) as started:
        wait_for(server.url + server.ready, 60, started, log, every=0.01)
        return time.monotonic() - begun


def load(
    stand: Stand, server: Server, started: subprocess.Popen[bytes], requests: int
) -> tuple[list[Sample], int]:
    """Asks until there were enough requests; memory before the first and after about every tenth."""
    samples, failed = [sample(started, 0)], 0
    seconds = 1
    while samples[-1].requests < requests:
        answered, lasted, broken = run_wrk(stand, server, seconds)
        if not answered:
            raise BenchmarkFailed(f"the gateway answered nothing in {seconds} s of load")
        seconds = max(1, round(requests / 10 / (answered / lasted)))
        failed += broken
        samples.append(sample(started, samples[-1].requests + answered))
    return samples, failed


def sample(started: subprocess.Popen[bytes], requests: int) -> Sample:
    taken = taken_by(started.pid)
    return Sample(requests, round(taken.rss_mib, 1), round(taken.pss_mib, 1))


def verdicts(held: Held) -> list[Verdict]:
    most = max(sample.rss_mib for sample in held.samples)
    return [
        Verdict("most memory, MiB RSS", most, MOST_MIB, at_least=False),
        Verdict("growth after the first tenth, MiB", held.growth_mib, MOST_GROWTH_MIB, at_least=False),
        Verdict("requests that failed", held.failed, 0, at_least=False),
        # The quickest start: what slows one down is the machine.
        Verdict(
            f"seconds until ready with {held.releases} releases",
            min(held.starts),
            MOST_START_SECONDS,
            at_least=False,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
