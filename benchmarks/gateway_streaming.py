"""What streams cost through one worker of the gateway: tokens per second, how long they wait, how much later
the first one comes.

Upstream is `token_upstream`, which flushes one token with each write and stamps it with the time. First it
outruns the gateway; then all streams get a token every 10 ms, as an engine's steps give them, each of them
a read of its own in the gateway; then one stream after the other, by turns through the gateway and past it.
The gateway has one core for itself. Needs `taskset`, two cores and the project's development environment.

    python -m benchmarks.gateway_streaming
    python -m benchmarks.gateway_streaming --tokens 50 --steps 20 --rounds 1 --no-result
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from statistics import median

from benchmarks.gateway_stand import (
    ROOT,
    STOPPED,
    Server,
    Stand,
    Verdict,
    chat,
    exit_code,
    gateway,
    running,
    stand,
    write_result,
)
from benchmarks.surroundings import BenchmarkFailed, free_port, pinned, process, wait_for
from benchmarks.token_reader import Heard

STEP_MS = 10
LEAST_RATE, LEAST_PER_WRITE, MOST_WAIT_MS, MOST_LATER_MS = 25_000.0, 0.99, 5.0, 1.0


@dataclass(frozen=True)
class Round:
    """The same three loads, through the gateway and, where it says so, past it."""

    outrun: Heard
    steps: Heard
    steps_past: Heard
    single: Heard
    single_past: Heard


def main() -> int:
    """Exit codes: 0 all bounds held, 1 the benchmark could not run, 3 a bound was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--streams", type=int, default=64)
    add("--tokens", type=int, default=4000, help="tokens of each stream where nothing slows the upstream")
    add("--steps", type=int, default=300, help="tokens of each stream where one comes every 10 ms")
    add(
        "--rounds", type=int, default=3, help="medians over the rounds count, of the longest wait the longest"
    )
    add("--no-result", action="store_true", help="write no file to benchmarks/results")
    options = parser.parse_args()
    try:
        rounds = measure(options)
    except BenchmarkFailed as error:
        print(f"The benchmark stopped: {error}", file=sys.stderr)
        return STOPPED
    judged = verdicts(rounds)
    print(*map(line, rounds), *(verdict.line() for verdict in judged), sep="\n")
    if not options.no_result:
        asked = {name: getattr(options, name) for name in ("streams", "tokens", "steps", "rounds")}
        found = {"method": {**asked, "step_ms": STEP_MS}, "rounds": [asdict(one) for one in rounds]}
        print(f"written to {write_result('gateway-streaming', found, judged)}")
    return exit_code(judged)


def measure(options: argparse.Namespace) -> list[Round]:
    with stand() as place, token_upstream(place) as port:
        direct = Server([], port, chat("tiny"), "/v1/models")
        ours = gateway(place, direct.url)
        with running(place, ours):
            listen(place, ours, "tokens=20 step_ms=0", options.streams)  # does not count
            return [take_round(place, ours, direct, options) for _ in range(options.rounds)]


@contextmanager
def token_upstream(stand: Stand) -> Iterator[int]:
    port, log = free_port(), stand.folder / "upstream.log"
    command = pinned(stand.load_core, [sys.executable, "-m", "benchmarks.token_upstream", str(port)])
    with process(command, {**os.environ, "PYTHONPATH": str(ROOT)}, log) as started:
        wait_for(f"http://127.0.0.1:{port}/v1/models", 30, started, log)
        yield port


def take_round(stand: Stand, ours: Server, direct: Server, options: argparse.Namespace) -> Round:
    steps = f"tokens={options.steps} step_ms={STEP_MS}"
    # Streams begin apart, so that what is measured is tokens and not the rush of their requests.
    apart = ("--apart", "0.01")
    single, times = "tokens=4 step_ms=0", ("--times", str(max(10, options.steps // 3)))
    return Round(
        outrun=listen(stand, ours, f"tokens={options.tokens} step_ms=0", options.streams),
        steps_past=listen(stand, direct, steps, options.streams, *apart),
        steps=listen(stand, ours, steps, options.streams, *apart),
        single_past=listen(stand, direct, single, 1, *times),
        single=listen(stand, ours, single, 1, *times),
    )


def listen(stand: Stand, server: Server, order: str, streams: int, *flags: str) -> Heard:
    """The streams of one load, read by a process of its own."""
    body = {**server.body, "messages": [{"role": "user", "content": order}], "stream": True}
    request = stand.folder / "request.json"
    request.write_text(replace(server, body=body).request())
    command = [sys.executable, "-m", "benchmarks.token_reader", str(server.port), str(request)]
    ended = subprocess.run(
        pinned(stand.load_core, [*command, "--streams", str(streams), *flags]),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise BenchmarkFailed(f"the streams could not be read: {ended.stderr[-500:]}")
    return Heard(**json.loads(ended.stdout))


def verdicts(rounds: Sequence[Round]) -> list[Verdict]:
    later = median(one.single.first_token_ms - one.single_past.first_token_ms for one in rounds)
    per_read = min(one.steps.deltas / one.steps.tokens for one in rounds)
    return [
        Verdict("tokens a second", median(one.outrun.tokens_per_second for one in rounds), LEAST_RATE),
        # At this pace each write of the upstream is a read of the gateway, unless the machine held it up.
        Verdict("deltas for each of the upstream's writes", per_read, LEAST_PER_WRITE),
        Verdict(
            "longest wait of a token, ms", max(one.steps.wait_max_ms for one in rounds), MOST_WAIT_MS, False
        ),
        Verdict("first token later than past the gateway, ms", later, MOST_LATER_MS, False),
    ]


def line(one: Round) -> str:
    outrun, single = one.outrun, one.single
    return (
        f"{outrun.tokens_per_second:9,.0f} tokens/s in {outrun.deltas:,} deltas; waits {_waits(one.steps)} ms"
        f" (p50 / p99 / longest; past the gateway {_waits(one.steps_past)}); first token after "
        f"{single.first_token_ms:.2f} ms (past it {one.single_past.first_token_ms:.2f})"
    )


def _waits(seen: Heard) -> str:
    return f"{seen.wait_p50_ms:.2f} / {seen.wait_p99_ms:.2f} / {seen.wait_max_ms:.2f}"


if __name__ == "__main__":
    sys.exit(main())
