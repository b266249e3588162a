"""What the notebooks stand on: a folder to work in, a program's rows as files, a server while a block runs.

The rest of them are commands that anybody types, and OpenAI's own client.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dspy

from compiler.split import cut_missing
from programs.program import SPLITS, Split
from smallforge import load_program

FOLDER_VARIABLE, ROWS_VARIABLE = "NOTEBOOK_FOLDER", "NOTEBOOK_ROWS"
MOST_ROWS = 100
_SECONDS = 600.0  # a server may have an engine to start
_URL = re.compile(r"^Smallforge gateway: (\S+)/v1$", re.MULTILINE)

Rows = Mapping[Split, Sequence[Mapping[str, Any]]]


def enter() -> Path:
    """Makes the folder that NOTEBOOK_FOLDER names, else one that all notebooks share, and works in it.

    Commands of this environment are found there, whatever started the notebook.
    """
    shared = Path(__file__).parent.parent / ".smallforge" / "notebooks"
    folder = Path(os.environ.get(FOLDER_VARIABLE) or shared).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    commands = str(Path(sys.executable).parent)
    if commands not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = commands + os.pathsep + os.environ["PATH"]
    os.environ["COLUMNS"] = "100"  # of tables, where there is no terminal to ask
    os.environ.pop("FORCE_COLOR", None)  # a kernel sets it, and commands then draw as on a terminal
    return folder


def write_rows(name: str) -> Rows:
    """The program's rows, NOTEBOOK_ROWS of each part at most, also as `rows/<program>/<part>.jsonl`."""
    most = int(os.environ.get(ROWS_VARIABLE) or MOST_ROWS)
    program = load_program(name)
    parts, _ = cut_missing({split: program.examples(split) for split in SPLITS}, seed=0)
    rows: Rows = {split: [_plain(example) for example in parts[split][:most]] for split in SPLITS}
    folder = Path("rows", name)
    folder.mkdir(parents=True, exist_ok=True)
    for split, kept in rows.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in kept]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return rows


def _plain(example: dspy.Example) -> dict[str, Any]:
    """The fields as JSON knows them: past turns are a list."""
    return {
        name: value.messages if isinstance(value, dspy.History) else value for name, value in example.items()
    }


@contextmanager
def served(command: str) -> Iterator[str]:
    """Runs `gateway serve ...` until the block ends, and gives its URL.

    The keeper ends it with this process too, however that ends.
    """
    kept = [sys.executable, "-m", "engine.keeper", "--", *shlex.split(command)]
    log = Path("gateway.log")
    with log.open("wb") as output:
        process = subprocess.Popen(kept, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT)
    assert process.stdin is not None
    try:
        yield _url_of(process, log)
    finally:
        process.stdin.close()
        process.wait()


def _url_of(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where the server says that it listens."""
    began = time.monotonic()
    while time.monotonic() - began < _SECONDS and process.poll() is None:
        if said := _URL.search(log.read_text(errors="replace")):
            return said[1]
        time.sleep(0.1)
    raise RuntimeError(f"the server did not come up; it said:\n{log.read_text(errors='replace')[-2000:]}")
