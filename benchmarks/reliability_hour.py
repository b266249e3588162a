"""The number that takes an hour: mixed load at 70 % of what a gateway can do, and what the gateway holds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import linear_regression, median

from benchmarks.gateway_memory import MOST_GROWTH_MIB
from benchmarks.gateway_stand import Verdict
from benchmarks.mixed_load import EXPOSED, PROGRAMS, Seen, percentile_of
from benchmarks.process_tree import taken_by
from benchmarks.reliability_kept import Row
from benchmarks.reliability_stand import (
    SURROUNDINGS,
    Cores,
    Stand,
    on_core,
    own_folder,
    standing,
    wait_until,
)
from benchmarks.surroundings import BenchmarkFailed, process

SHARE = 0.7  # of the capacity
_ROUNDS, _ROUND_SECONDS = 3, 10.0  # in which the capacity is measured; the median counts
_BETWEEN = 10.0  # seconds between two looks at the memory
_FLEET = "fleet.max_in_flight = 200\nfleet.queue = 2000"


@dataclass(frozen=True)
class Sample:
    """What the gateway held after so many seconds of the load, and how many files it had open."""

    seconds: float
    rss_mib: float
    pss_mib: float
    files: int


@dataclass(frozen=True)
class Hour:
    """`core_*` is the share of its core that the gateway took while its capacity was measured, and after."""

    minutes: float
    capacity: float
    core_at_capacity: float
    rate: float
    core_at_rate: float
    answered: float
    """Requests per second."""
    latest: float
    requests: dict[str, int]
    errors: dict[str, int]
    error_samples: Sequence[str]
    p50_ms: dict[str, float]
    p99_ms: dict[str, float]
    left_running: float
    logged_errors: int
    samples: Sequence[Sample]
    load_averages: tuple[float, float]
    """Of the machine, before and after."""

    @property
    def growth_mib(self) -> float:
        """From the second tenth of the time to the last, each by its median."""
        tenth = max(1, len(self.samples) // 10)
        early, late = self.samples[tenth : 2 * tenth], self.samples[-tenth:]
        return median(one.rss_mib for one in late) - median(one.rss_mib for one in early or late)

    @property
    def slope_mib(self) -> float:
        """MiB per hour after the first tenth, by least squares."""
        later = self.samples[len(self.samples) // 10 :]
        if len(later) < 2:
            return 0.0
        return 3600 * linear_regression([one.seconds for one in later], [one.rss_mib for one in later]).slope

    def row(self) -> Row:
        asked = sum(self.requests.values())
        failed = sum(self.errors.values())
        held = max(one.rss_mib for one in self.samples)
        return Row(
            what=f"{self.minutes:g} minutes of mixed load at {SHARE:.0%} of capacity ({self.capacity:,.0f} "
            f"requests per second on one core, {self.core_at_rate:.0%} of it busy)",
            lost=f"{failed} errors in {asked:,} requests, {self.logged_errors} in the log; "
            f"{self.growth_mib:+.1f} MiB after the first tenth "
            f"({self.slope_mib:+.2f} MiB per hour), at most {held:.0f} MiB",
            numbers=asdict(self),
            verdicts=[
                Verdict("errors under mixed load", failed, 0, at_least=False),
                Verdict("errors that the gateway logged under it", self.logged_errors, 0, at_least=False),
                Verdict("requests left running after mixed load", self.left_running, 0, at_least=False),
                Verdict(
                    "growth after the first tenth, MiB", self.growth_mib, MOST_GROWTH_MIB, at_least=False
                ),
                # Others may be at work on the machine.
                Verdict(
                    "share of the capacity that was answered",
                    self.answered / self.capacity,
                    0.69,
                    counts=False,
                ),
            ],
        )


def hour(minutes: float) -> Hour:
    """First as many requests as there can be, then 70 % of them for so many minutes."""
    settings, before = f'expose = ["{EXPOSED}"]\n{_FLEET}', os.getloadavg()[0]
    with (
        own_folder() as folder,
        standing(folder, 2, settings, gateway="warm = false", programs=PROGRAMS, cores=_cores()) as stand,
    ):
        capacity, core_at_capacity = _capacity(stand, min(_ROUND_SECONDS, 6 * minutes))
        print(f"capacity: {capacity:,.0f} requests per second", flush=True)
        busy, rate = Busy(stand), SHARE * capacity
        with loading(stand, 60 * minutes, rate) as load:
            samples = list(_samples(stand, load, min(_BETWEEN, 6 * minutes)))
            seen, core = load.seen(), busy.share()
        left = _left_running(stand)
        log = (folder / "gateway.log").read_text(errors="replace")
    return Hour(
        minutes=minutes,
        capacity=round(capacity, 1),
        core_at_capacity=round(core_at_capacity, 3),
        rate=round(rate, 1),
        core_at_rate=round(core, 3),
        answered=round(seen.requests.total() / seen.seconds, 1),
        latest=round(seen.latest, 3),
        requests=dict(seen.requests),
        errors=dict(seen.errors),
        error_samples=seen.samples,
        p50_ms=_percentiles(seen, 0.5),
        p99_ms=_percentiles(seen, 0.99),
        left_running=left,
        logged_errors=len(re.findall(" (?:ERROR|CRITICAL) ", log)),
        samples=samples,
        load_averages=(round(before, 2), round(os.getloadavg()[0], 2)),
    )


def _cores() -> Cores:
    """One for the gateway alone, where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    return Cores(gateway=cores[-1], engines=cores[0]) if len(cores) > 1 else Cores()


def _capacity(stand: Stand, seconds: float) -> tuple[float, float]:
    """Requests per second and the gateway's share of its core, each the median of several rounds."""
    rates, shares = [], []
    for _ in range(_ROUNDS + 1):
        busy = Busy(stand)
        with loading(stand, seconds, 0.0) as load:
            seen = load.seen()
        if seen.errors:
            raise BenchmarkFailed(f"errors at full load: {dict(seen.errors)} {seen.samples[:3]}")
        rates.append(seen.requests.total() / seen.seconds)
        shares.append(busy.share())
    return median(rates[1:]), median(shares[1:])  # the first only warms up


class Busy:
    """How much of a core the gateway took since this was made."""

    def __init__(self, stand: Stand) -> None:
        self._pid = stand.served.pid
        self._cpu, self._begun = taken_by(self._pid).cpu_seconds, time.monotonic()

    def share(self) -> float:
        return (taken_by(self._pid).cpu_seconds - self._cpu) / (time.monotonic() - self._begun)


@dataclass(frozen=True)
class Load:
    """Clients at work, as a process; what they print is what they saw."""

    process: subprocess.Popen[bytes]
    printed: Path

    def seen(self) -> Seen:
        """Once they have ended."""
        if self.process.wait():
            raise BenchmarkFailed(f"the load failed: {self.printed.read_text()[-800:]}")
        return Seen.read(json.loads(self.printed.read_text()))


@contextmanager
def loading(stand: Stand, seconds: float, rate: float) -> Iterator[Load]:
    """The clients, on the engines' core; those that are still at work when the block ends are ended."""
    printed = stand.folder / "load.json"
    command = [sys.executable, "-m", "benchmarks.mixed_load", str(stand.port)]
    command += ["--seconds", str(seconds), "--rate", str(rate)]
    with process(on_core(_cores().engines, command), SURROUNDINGS, printed) as started:
        yield Load(started, printed)


def _samples(stand: Stand, load: Load, between: float) -> Iterator[Sample]:
    """What the gateway holds, again and again while the load lasts."""
    begun = time.monotonic()
    while load.process.poll() is None:
        taken = taken_by(stand.served.pid)
        files = len(list(Path(f"/proc/{stand.served.pid}/fd").iterdir()))
        seconds = time.monotonic() - begun
        yield Sample(round(seconds, 1), round(taken.rss_mib, 2), round(taken.pss_mib, 2), files)
        with suppress(subprocess.TimeoutExpired):
            load.process.wait(between)


def _left_running(stand: Stand) -> float:
    """Requests that the engines or the gateway still count, two seconds after the last answer."""

    def left() -> float:
        counted = stand.metric("gateway_in_flight_requests")
        return counted + sum(engine.running() for engine in stand.engines)

    with suppress(BenchmarkFailed):
        wait_until(lambda: left() == 0, 2, "some are left")
    return left()


def _percentiles(seen: Seen, share: float) -> dict[str, float]:
    return {name: round(1000 * percentile_of(waits, share), 1) for name, waits in seen.waits.items()}
