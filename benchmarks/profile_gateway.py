"""Where the gateway's one worker spends its time under load, function by function and package by package.

cProfile runs inside the worker, once it is warm, while wrk asks it as `benchmarks.gateway` does; profiling
slows Python's own functions down, so shares lean towards code that calls much. Needs nginx
and wrk (`apt-get install nginx-light wrk`), `taskset`, two cores and the project's development environment.

    python -m benchmarks.profile_gateway
    python -m benchmarks.profile_gateway --seconds 2 --lines 20
    python -m benchmarks.profile_gateway --stream        tokens of `token_upstream` instead
"""

from __future__ import annotations

import argparse
import pstats
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.gateway import run_wrk
from benchmarks.gateway_stand import ROOT, STOPPED, Server, Stand, chat, gateway, running, stand
from benchmarks.gateway_streaming import listen, token_upstream
from benchmarks.surroundings import BenchmarkFailed, nginx

WORKER = """
import cProfile, signal
from gateway.command import main

profile = cProfile.Profile()
signal.signal(signal.SIGUSR1, lambda number, frame: profile.enable())
try:
    main()
finally:
    profile.disable()
    profile.dump_stats({file!r})
"""
OURS = ("gateway", "engine", "programs")


class Line(NamedTuple):
    """One function: where it is, how often it was called, and seconds in it without what it calls."""

    package: str
    where: str
    calls: int
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seconds", type=int, default=10)
    add("--lines", type=int, default=40, help="how many functions to print")
    add("--stream", action="store_true", help="profile streams instead of whole replies")
    add("--file", type=Path, help="keep the profile there, for tools that read cProfile's")
    options = parser.parse_args()
    try:
        requests, lines = measure(options.seconds, options.stream, options.file)
    except BenchmarkFailed as error:
        print(f"The profile stopped: {error}", file=sys.stderr)
        return STOPPED
    print(report(lines, requests, options.lines))
    return 0


def measure(seconds: int, streams: bool, keep: Path | None) -> tuple[int, list[Line]]:
    """How many requests (or tokens) there were, and what they took."""
    with stand("nginx", "wrk") as place, upstream(place, streams) as url:
        file = keep.resolve() if keep is not None else place.folder / "profile"
        server = profiled(gateway(place, url), file)
        with running(place, server) as started:
            load(place, server, streams, 1)
            started.send_signal(signal.SIGUSR1)
            done = load(place, server, streams, seconds)
        return done, read_profile(file)


def load(stand: Stand, server: Server, streams: bool, seconds: int) -> int:
    """How many requests (or tokens) there were."""
    if streams:
        return listen(stand, server, f"tokens={seconds * 100} step_ms=10", 64).tokens
    return run_wrk(stand, server, seconds)[0]


@contextmanager
def upstream(stand: Stand, streams: bool) -> Iterator[str]:
    if streams:
        with token_upstream(stand) as port:
            yield Server([], port, chat("tiny"), "/").url
    else:
        with nginx(stand.folder, stand.load_core) as url:
            yield url


def profiled(server: Server, file: Path) -> Server:
    """The same gateway with a profiler around its command."""
    arguments = server.command[list(server.command).index("serve") :]
    return replace(server, command=[sys.executable, "-c", WORKER.format(file=str(file)), *arguments])


def read_profile(file: Path) -> list[Line]:
    """The functions, the most expensive first."""
    stats = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]
    lines = [
        Line(package_of(path), f"{short(path)}:{number} {name}", calls, seconds)
        for (path, number, name), (_, calls, seconds, _, _) in stats.items()
    ]
    return sorted(lines, key=lambda line: line.seconds, reverse=True)


def package_of(path: str) -> str:
    """The package that a function belongs to; what is built in has no file."""
    if path == "~":
        return "built in"
    parts = Path(path).parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    inside = Path(path).is_relative_to(ROOT)
    return Path(path).relative_to(ROOT).parts[0] if inside else "standard library"


def short(path: str) -> str:
    parts = Path(path).parts
    return "/".join(parts[-2:]) if path != "~" else ""


def by_package(lines: list[Line]) -> Mapping[str, float]:
    seconds: dict[str, float] = defaultdict(float)
    for line in lines:
        seconds[line.package] += line.seconds
    return dict(sorted(seconds.items(), key=lambda item: item[1], reverse=True))


def report(lines: list[Line], requests: int, most: int) -> str:
    """Microseconds and calls per request: first the packages, then the functions."""
    each = 1e6 / max(1, requests)
    shares = [f"{seconds * each:9.1f} us  {name}" for name, seconds in by_package(lines).items()]
    functions = [
        f"{line.seconds * each:9.1f} us {line.calls / max(1, requests):7.2f} calls  {line.where}"
        for line in lines[:most]
    ]
    ours = sum(line.seconds for line in lines if line.package in OURS) * each
    return "\n".join([f"{requests:,} requests; ours {ours:.1f} us each", "", *shares[:most], "", *functions])


if __name__ == "__main__":
    sys.exit(main())
