"""One process at a time, and none for ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from engine.lock import alone

HOLD = (
    "import sys; from pathlib import Path; from engine.lock import alone\n"
    "with alone(Path(sys.argv[1]), lambda: None):\n"
    "    print('held', flush=True); sys.stdin.read()\n"
)


def test_another_process_holds_it_until_it_ends_however_it_ends(tmp_path: Path) -> None:
    path, said = tmp_path / "new" / "lock", list[str]()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"

    def waiting() -> None:
        said.append("waiting")
        holder.kill()

    with holder, alone(path, waiting):
        assert said == ["waiting"]
    with alone(path, waiting):
        assert said == ["waiting"]
