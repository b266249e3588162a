from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(folder: Path, script: str, surroundings: Mapping[str, str] | None = None) -> str:
    """The output of a script that begins as the notebooks do, in a process of its own."""
    told = {"NOTEBOOK_FOLDER": str(folder), "PYTHONPATH": str(ROOT), **(surroundings or {})}
    done = subprocess.run(
        [sys.executable, "-c", f"from examples import lab\nlab.enter()\n{script}"],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_folder_is_made_and_worked_in_and_our_commands_are_found(tmp_path: Path) -> None:
    script = "import os, shutil; print(os.getcwd(), shutil.which('compiler'), os.environ.get('FORCE_COLOR'))"
    where = run(tmp_path / "new", script, {"PATH": os.defpath, "FORCE_COLOR": "1"}).split()
    assert where == [str(tmp_path / "new"), str(Path(sys.executable).parent / "compiler"), "None"]


def test_rows_of_each_part_become_files_that_a_build_takes(tmp_path: Path) -> None:
    script = "rows = lab.write_rows('scripture_qa'); print({part: len(kept) for part, kept in rows.items()})"
    assert run(tmp_path, script, {"NOTEBOOK_ROWS": "12"}) == "{'train': 12, 'dev': 12, 'test': 12}\n"
    files = sorted((tmp_path / "rows" / "scripture_qa").iterdir())
    assert [path.name for path in files] == ["dev.jsonl", "test.jsonl", "train.jsonl"]
    rows = [json.loads(line) for line in files[2].read_text().splitlines()]
    assert len(rows) == 12 and any(row["history"] for row in rows)
    assert {"question", "context", "answer"} <= rows[0].keys()


def test_parts_that_the_data_lacks_are_cut_from_the_rest(tmp_path: Path) -> None:
    lines = [json.dumps({"question": f"What is {n} + 1?", "answer": str(n + 1)}) + "\n" for n in range(100)]
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "train.jsonl").write_text("".join(lines))
    script = "print({part: len(kept) for part, kept in lab.write_rows('gsm8k').items()})"
    assert (
        run(tmp_path, script, {"SMALLFORGE_DATA": str(tmp_path)}) == "{'train': 60, 'dev': 20, 'test': 20}\n"
    )


SERVES = """
import os, subprocess, urllib.request
try:
    with lab.served("gateway serve --port 0 --metrics-port 0 --student http://127.0.0.1:9") as url:
        print(urllib.request.urlopen(f"{url}/healthz").status)
        raise KeyboardInterrupt
except KeyboardInterrupt:
    pass
try:
    urllib.request.urlopen(url)
except OSError:
    print("gone")
"""


def test_a_server_is_there_while_the_block_runs_and_gone_however_it_ends(tmp_path: Path) -> None:
    assert run(tmp_path, SERVES) == "200\ngone\n"


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    script = "try:\n    lab.served('gateway serve --port x').__enter__()\nexcept RuntimeError as e: print(e)"
    assert "'x' is not a valid integer" in run(tmp_path, script)
