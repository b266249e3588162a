"""Tests for engine/shared_sheet.py: one engine's hour, metered by several processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.prices import HourlyMeter
from engine.shared_sheet import SharedSheet, strike_out
from tests.engine.clock import Clock

ROOT = Path(__file__).parents[2]
WORKER = """
import sys, time
from pathlib import Path
from engine.prices import HourlyMeter
from engine.shared_sheet import SharedSheet

file, seat, price = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
meter = HourlyMeter(price, sheet=SharedSheet(file, seat, 2, time.monotonic()))
usd = 0.0
for _ in range(2000):
    usd += meter.finish(meter.start()) + meter.take_idle_usd()
print(usd)
"""


def meters(file: Path, clock: Clock) -> tuple[HourlyMeter, HourlyMeter]:
    """Those of two processes, at one USD a second."""
    sheets = [SharedSheet(file, seat, 2, clock()) for seat in (0, 1)]
    return HourlyMeter(3600.0, clock, sheets[0]), HourlyMeter(3600.0, clock, sheets[1])


def test_calls_of_all_processes_share_the_hour(tmp_path: Path) -> None:
    clock = Clock()
    one, other = meters(tmp_path / "sheet", clock)
    first = one.start()
    clock.seconds = 1.0
    second = other.start()
    clock.seconds = 3.0
    assert one.finish(first) == pytest.approx(1.0 + 1.0)
    clock.seconds = 4.0
    assert other.finish(second) == pytest.approx(1.0 + 1.0)


def test_idle_time_is_charged_once_whoever_asks(tmp_path: Path) -> None:
    clock = Clock()
    one, other = meters(tmp_path / "sheet", clock)
    clock.seconds = 5.0
    assert other.take_idle_usd() == pytest.approx(5.0)
    assert one.take_idle_usd() == 0.0


def test_calls_of_a_process_that_died_are_struck_out(tmp_path: Path) -> None:
    clock = Clock()
    one, other = meters(tmp_path / "sheet", clock)
    other.start()
    strike_out(tmp_path / "sheet", 1)
    again = HourlyMeter(3600.0, clock, SharedSheet(tmp_path / "sheet", 1, 2, clock()))
    mark = one.start()
    clock.seconds = 2.0
    assert one.finish(mark) == pytest.approx(2.0)
    clock.seconds = 3.0
    assert again.take_idle_usd() == pytest.approx(1.0)


def test_processes_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    sheet = SharedSheet(tmp_path / "sheet", 0, 2, 0.0)
    with sheet:
        sheet.settled = 0.0
    command = [sys.executable, "-c", WORKER, str(tmp_path / "sheet")]
    workers = [
        subprocess.Popen([*command, seat, "3600"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for seat in ("0", "1")
    ]
    charged = sum(float(worker.communicate()[0]) for worker in workers)
    assert sheet.in_flight == 0
    assert charged == pytest.approx(sheet.settled, rel=1e-6)
