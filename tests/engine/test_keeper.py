"""Nothing that the keeper keeps outlives whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import keeper
from engine.running import birth_of

# A command with a child of its own in another session, as engines have them; both tell their numbers.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid} {os.environ.get('COLOUR')}\\n")
time.sleep(60)
"""


class Kept:
    def __init__(self, folder: Path) -> None:
        self.numbers = folder / "numbers"
        command = [sys.executable, "-c", FAMILY, str(self.numbers)]
        self.keeper = subprocess.Popen(
            [sys.executable, "-I", str(keeper.__file__), "COLOUR=blue", "--", *command], stdin=subprocess.PIPE
        )
        until = time.monotonic() + 10
        while not (self.numbers.exists() and self.numbers.read_text().endswith("\n")):
            assert time.monotonic() < until
            time.sleep(0.01)
        parent, child, self.colour = self.numbers.read_text().split()
        self.pids = [int(parent), int(child)]

    def gone_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not any(birth_of(pid) for pid in self.pids):
                return True
            time.sleep(0.02)
        return False

    def hang_up(self) -> None:
        assert self.keeper.stdin is not None
        self.keeper.stdin.close()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    family = Kept(tmp_path)
    yield family
    family.hang_up()
    family.keeper.wait()
    for pid in family.pids:
        if birth_of(pid):
            os.kill(pid, signal.SIGKILL)


def test_all_ends_when_the_starter_is_gone(kept: Kept) -> None:
    kept.hang_up()
    assert kept.gone_within(5)
    assert kept.keeper.wait(5) == 0


def test_all_ends_when_the_keeper_is_told_to(kept: Kept) -> None:
    kept.keeper.terminate()
    assert kept.gone_within(5)


def test_what_the_command_left_behind_ends_with_it(kept: Kept) -> None:
    os.kill(kept.pids[0], signal.SIGKILL)
    assert kept.gone_within(5)
    assert kept.keeper.wait(5) == 128 + signal.SIGKILL


def test_the_command_ends_when_the_keeper_is_killed(kept: Kept) -> None:
    kept.keeper.kill()
    until = time.monotonic() + 5
    while birth_of(kept.pids[0]) and time.monotonic() < until:
        time.sleep(0.02)
    assert birth_of(kept.pids[0]) is None


def test_settings_reach_the_command(kept: Kept) -> None:
    assert kept.colour == "blue"


def test_the_exit_code_of_the_command_comes_through() -> None:
    command = [sys.executable, "-I", str(keeper.__file__), "--", sys.executable, "-c", "raise SystemExit(7)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.wait(10) == 7
