"""Twenty thousand examples: a build's memory must not grow with them beyond what they take themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson

from tests.compiler.interrupted import SUMS
from tests.compiler.scripted import Adder
from tests.compiler.served import serving

ROWS = 20_000
MOST = 350 * 2**20  # bytes; a build of 72 rows takes 186 MiB, most of it DSPy


def test_twenty_thousand_examples_are_built_in_bounded_memory(tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(SUMS)
    rows = ({"question": f"What is {n} + {n // 2}?", "answer": str(n + n // 2)} for n in range(ROWS))
    (tmp_path / "rows.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    with serving(Adder()) as server, (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "compiler", "build", "./sums.py", "--student", server.url]
        command += ["--data", "rows.jsonl", "--mlflow-uri", "off", "--set", "num_candidate_programs=2"]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (tmp_path / "log").read_text()[-3000:]
    # Linux counts in KiB, macOS in bytes.
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    assert peak < MOST, f"{peak / 2**20:.0f} MiB"
