"""A build in the foreground, and how it is told to end."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from click.testing import CliRunner

from compiler.command import main
from tests.compiler.interrupted import SUMS
from tests.compiler.scripted import Adder
from tests.compiler.served import serving


def test_sigterm_ends_a_build_as_ctrl_c_does(tmp_path: Path) -> None:
    sums: list[int] = []

    def told(total: int) -> None:
        sums.append(total)
        if len(sums) == 20:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with contextlib.chdir(tmp_path), serving(Adder(told, pause=0.01)) as server:
        Path("sums.py").write_text(SUMS)
        done = CliRunner().invoke(
            main, ["build", "./sums.py", "--student", server.url, "--mlflow-uri", "off"]
        )
        assert done.exit_code == 130 and "What was answered is kept" in done.stderr
        assert not Path("releases").exists() and signal.getsignal(signal.SIGTERM) == before
