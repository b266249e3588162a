"""Notes about engines that are up: found while their process lives, gone with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from engine.home import EngineHome
from engine.running import RunningEngine, announce, birth_of, running_engines, stop


def an_engine(port: int, pid: int) -> RunningEngine:
    return RunningEngine(f"http://127.0.0.1:{port}", "tiny", "vllm", pid, birth_of(pid) or "", "w", 2048)


def test_an_announced_engine_is_found_the_latest_first(tmp_path: Path) -> None:
    home = EngineHome(tmp_path)
    first = announce(home, an_engine(8100, os.getpid()))
    os.utime(first, (1, 1))
    announce(home, an_engine(8101, os.getpid()))
    assert [engine.url[-4:] for engine in running_engines(home)] == ["8101", "8100"]


def test_the_note_of_a_dead_engine_is_removed(tmp_path: Path) -> None:
    home = EngineHome(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    note = announce(home, an_engine(8100, process.pid))
    assert len(running_engines(home)) == 1
    process.communicate(b"\n")
    assert running_engines(home) == [] and not note.exists()


def test_a_later_process_with_the_same_number_is_another(tmp_path: Path) -> None:
    engine = RunningEngine("http://127.0.0.1:8100", "tiny", "vllm", os.getpid(), "1")
    assert not engine.alive()


def test_a_damaged_note_is_no_engine(tmp_path: Path) -> None:
    home = EngineHome(tmp_path)
    home.running.mkdir()
    (home.running / "8100.json").write_text("{")
    (home.running / "8101.json").write_text('{"url": 1}')
    assert running_engines(home) == []


def test_stop_waits_until_the_process_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert stop(an_engine(8100, process.pid))
    assert process.wait() == -15
