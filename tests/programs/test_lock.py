from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from programs.lock import held

HOLDING = (
    "import sys, time; from pathlib import Path; from programs.lock import held\n"
    "with held(Path(sys.argv[1])):\n"
    "    print('held', flush=True); time.sleep(60)"
)


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_lock_that_another_process_holds_is_not_given(tmp_path: Path) -> None:
    with holder(tmp_path / "lock") as other:
        with pytest.raises(BlockingIOError), held(tmp_path / "lock", wait=False):
            pass
        other.kill()


def test_a_holder_that_is_killed_leaves_the_lock_free(tmp_path: Path) -> None:
    with holder(tmp_path / "lock") as other:
        other.kill()
    with held(tmp_path / "lock", wait=False):
        pass


def test_who_waits_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    begun = time.monotonic()
    with holder(tmp_path / "lock") as other:
        threading.Timer(0.2, other.kill).start()
        with held(tmp_path / "lock"):
            assert time.monotonic() - begun > 0.1
