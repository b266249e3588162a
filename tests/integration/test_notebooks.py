"""Each notebook, run by the command a reader types, on few rows and the real engine."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import BIN

NOTEBOOKS = Path(__file__).parents[2] / "examples" / "notebooks"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def surroundings(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """One folder for all, so that the last reads what the others built; no way to the outside."""
    folder = tmp_path_factory.mktemp("notebooks")
    own = {name: str(folder / name.lower()) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR")}
    outside = {"HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "NO_PROXY": "127.0.0.1,localhost"}
    few = {"NOTEBOOK_FOLDER": str(folder), "NOTEBOOK_ROWS": "10", "NOTEBOOK_CALLS": "60"}
    return {**os.environ, **own, **outside, **few, "SMALLFORGE_STUDENT": engine_url}


def outputs(notebook: Path) -> list[Mapping[str, Any]]:
    return [out for cell in json.loads(notebook.read_text())["cells"] for out in cell.get("outputs", [])]


def still_running(folder: str) -> list[str]:
    """Commands of processes that were started from a notebook and live on."""
    marked = f"NOTEBOOK_FOLDER={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if marked in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has ended, or is another user's
    return found


# In this order: the last one builds what the others have not.
@pytest.mark.parametrize("name", ["gsm8k", "hotpotqa", "scripture_qa", "teaching", "comparison"])
def test_a_notebook_runs_to_its_end_draws_its_plots_and_leaves_nothing_running(
    name: str, surroundings: Mapping[str, str], tmp_path: Path
) -> None:
    ran = tmp_path / f"{name}.ipynb"
    command = [str(BIN / "jupyter-execute"), f"--output={ran}", str(NOTEBOOKS / f"{name}.ipynb")]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    kinds = [out["output_type"] for out in outputs(ran)]
    plots = [out for out in outputs(ran) if "image/png" in out.get("data", {})]
    assert "error" not in kinds and len(plots) >= 3
    text = "".join("".join(out.get("text", "")) for out in outputs(ran))
    assert "Traceback" not in text and "Warning" not in text and "\033[" not in text
    until = time.monotonic() + 10
    while (left := still_running(surroundings["NOTEBOOK_FOLDER"])) and time.monotonic() < until:
        time.sleep(0.2)
    assert left == []


def test_the_notebooks_stay_as_they_are_stored() -> None:
    assert all(not outputs(notebook) for notebook in NOTEBOOKS.glob("*.ipynb"))
