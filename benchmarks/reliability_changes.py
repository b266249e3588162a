"""The number for what an operator changes under load: releases, the gateway's workers, its engines."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial

from benchmarks.gateway_stand import Verdict
from benchmarks.mixed_load import EXPOSED, PROGRAMS, Pace, Seen, load
from benchmarks.process_tree import children
from benchmarks.reliability_kept import Row
from benchmarks.reliability_stand import Stand, own_folder, put_release, standing, wait_until
from benchmarks.surroundings import BenchmarkFailed

_CLIENTS = 48
_WORKERS, _ENGINES = 2, 2
_MOST_OF_EACH, _REQUESTS_FOR_ONE = 5, 5_000
_IN_A_ROW = 12  # new connections, which fall to either worker, before something is true of both


@dataclass(frozen=True)
class Changes:
    """What was done, and what came of the requests meanwhile."""

    done: dict[str, int]
    requests: dict[str, int]
    failed: dict[str, int]
    samples: list[str]
    seconds: float
    slowest_seconds: float
    sent_again: int
    """Calls, to the other engine."""

    def row(self) -> Row:
        failed, asked = sum(self.failed.values()), sum(self.requests.values())
        told = ", ".join(f"{what} {number} times" for what, number in self.done.items())
        return Row(
            what=f"{told} within {asked:,} requests of {_CLIENTS} clients that keep their connections and "
            f"repeat nothing ({_WORKERS} workers, {_ENGINES} engines)",
            lost=f"{failed} failed; the slowest took {self.slowest_seconds:.1f} s",
            numbers=asdict(self),
            verdicts=[Verdict("requests that failed while all was changed", failed, 0, at_least=False)],
        )


def changes(count: int) -> Changes:
    """One change after the other, evenly over so many requests."""
    seen = Seen()
    settings = f'expose = ["{EXPOSED}"]\nfleet.together = 4\nfleet.eject_seconds = 1.0'
    with (
        own_folder() as folder,
        standing(folder, _ENGINES, settings, gateway=f"workers = {_WORKERS}", programs=PROGRAMS) as stand,
    ):
        each = max(1, min(_MOST_OF_EACH, count // (_REQUESTS_FOR_ONE * len(KINDS))))
        done = asyncio.run(_while_changing(stand, count, each, seen))
        again = stand.metric("gateway_engine_retries_total")
    return Changes(
        done=dict(done),
        requests=dict(seen.requests),
        failed=dict(seen.errors),
        samples=seen.samples,
        seconds=round(seen.seconds, 1),
        slowest_seconds=round(seen.slowest, 3),
        sent_again=round(again),
    )


async def _while_changing(stand: Stand, count: int, each: int, seen: Seen) -> Counter[str]:
    done: Counter[str] = Counter()
    steps = [(name, number) for number in range(each) for name in KINDS]
    ended = False

    def over(seconds: float) -> bool:
        return ended and seen.requests.total() >= count

    asking = asyncio.create_task(load(stand.port, Pace(_CLIENTS), seen, over))
    try:
        for turn, (name, number) in enumerate(steps, start=1):
            while not asking.done() and seen.requests.total() < turn * count / (len(steps) + 1):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # no event tells it
            await asyncio.to_thread(KINDS[name], stand, number)
            done[name] += 1
    except BenchmarkFailed:
        asking.cancel()
        raise
    finally:
        ended = True
    await asking
    return done


def promote(stand: Stand, number: int) -> None:
    """New champions of every program, until both workers answer with them."""
    releases, url = stand.folder / "releases", stand.engines[0].url
    versions = {name: put_release(releases, name, f"Answer in {number} words.", url) for name in PROGRAMS}
    for name, version in versions.items():
        _until_always(partial(stand.is_served, name, version), f"{name}@{version} never answered")


def restart_workers(stand: Stand, number: int) -> None:
    """One after the other, as after an update: SIGHUP to the foreman."""
    old = children(stand.served.pid)
    os.kill(stand.served.pid, signal.SIGHUP)
    wait_until(lambda: not old & children(stand.served.pid), 120, "a worker was never relieved")
    _until_always(stand.has_all_engines, "the new workers never had all engines")


def end_worker(stand: Stand, number: int) -> None:
    """SIGTERM to one of them, as by hand; the foreman starts another."""
    old = children(stand.served.pid)
    os.kill(sorted(old)[number % _WORKERS], signal.SIGTERM)

    def replaced() -> bool:
        now = children(stand.served.pid)
        return len(now) == _WORKERS and now != old

    wait_until(replaced, 60, "an ended worker was never started again")
    _until_always(stand.has_all_engines, "the new worker never had all engines")


def restart_engine(stand: Stand, number: int) -> None:
    """It answers what it has, ends and comes again."""
    engine = stand.engines[number % _ENGINES]
    engine.stop()
    engine.start()
    _until_always(stand.has_all_engines, "an engine that came again was never found")


KINDS: dict[str, Callable[[Stand, int], None]] = {
    "every program promoted": promote,
    "all workers replaced": restart_workers,
    "a worker ended": end_worker,
    "an engine restarted": restart_engine,
}
"""In their order, again and again; each is told how many of its kind there were before."""


def _until_always(holds: Callable[[], bool], otherwise: str) -> None:
    """Until it holds of so many new connections in a row."""
    row = _row_of(holds)
    wait_until(lambda: next(row) >= _IN_A_ROW, 60, otherwise)


def _row_of(holds: Callable[[], bool]) -> Iterator[int]:
    """How often in a row it held."""
    row = 0
    while True:
        row = row + 1 if holds() else 0
        yield row
