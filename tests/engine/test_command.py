"""The command `engine` as a person meets it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.home import EngineHome
from engine.running import RunningEngine, announce, birth_of


def run(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine", "--home", str(home), *words]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("serve", "no/such/model"), "engine: There is no model 'no/such/model'"),
        (("serve", "."), "is no model directory: it holds no config.json"),
        (("stop", "--port", "8100"), "engine: No engine of yours is up on port 8100"),
        (("serve", "org/model"), "Install it with: engine install"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    words: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    done = run(*words, home=tmp_path)
    assert done.returncode == 2 and sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_status_shows_what_is_up(tmp_path: Path) -> None:
    assert "No engine is up" in run("status", home=tmp_path).stdout
    born = birth_of(os.getpid()) or ""
    announce(EngineHome(tmp_path), RunningEngine("http://127.0.0.1:8100", "tiny", "vllm", os.getpid(), born))
    assert "tiny on http://127.0.0.1:8100 (vllm, pid" in run("status", home=tmp_path).stdout


def test_stop_without_engines_is_no_mistake(tmp_path: Path) -> None:
    assert (run("stop", home=tmp_path).stdout, run("stop", home=tmp_path).returncode) == (
        "No engine is up.\n",
        0,
    )
