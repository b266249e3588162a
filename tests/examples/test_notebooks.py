"""Notebooks are stored as they were written, without what a run leaves, and their commands can be given."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.settings import read_settings
from smallforge import load_program
from tests.test_docs import COMMANDS, check_arguments, words

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
OURS = re.compile(rf"(?:^|&&|\|\||;)\s*((?:{'|'.join(COMMANDS)}) [^;&|]*)")


def cells(notebook: Path, kind: str) -> Iterator[str]:
    for cell in json.loads(notebook.read_text())["cells"]:
        if cell["cell_type"] == kind:
            yield "".join(cell["source"])


def commands() -> list[tuple[str, str]]:
    """(notebook, command) of what shell cells run and of what is served; a variable has its default."""
    found = []
    for notebook in NOTEBOOKS:
        for cell in cells(notebook, "code"):
            magic, _, body = cell.partition("\n")
            lines = body.replace("\\\n", " ").splitlines() if magic == "%%sh" else []
            lines += re.findall(r'lab\.served\("([^"]+)"\)', cell)
            plain = [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", line) for line in lines]
            found += [(notebook.stem, line) for text in plain for line in OURS.findall(text)]
    return found


def test_there_is_one_for_each_named_task_and_one_that_compares_them() -> None:
    names = {notebook.stem for notebook in NOTEBOOKS}
    assert names == {"gsm8k", "hotpotqa", "scripture_qa", "teaching", "comparison"}
    assert all(load_program(name) for name in names - {"comparison"})


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_what_a_run_leaves(notebook: Path) -> None:
    told: dict[str, Any] = json.loads(notebook.read_text())
    code = [cell for cell in told["cells"] if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []
    assert [cell["id"] for cell in told["cells"] if cell["metadata"]] == []
    assert set(told["metadata"]) == {"kernelspec", "language_info"}
    assert re.search(r"/(tmp|home|Users|root)/", notebook.read_text()) is None


@pytest.mark.parametrize(("notebook", "line"), commands())
def test_every_command_in_the_notebooks_can_be_given(notebook: str, line: str) -> None:
    program, *arguments = words(line)
    check_arguments(COMMANDS[program], program, arguments)


def test_every_notebook_serves_what_it_shows() -> None:
    assert {name for name, line in commands() if line.startswith("gateway serve")} == {
        path.stem for path in NOTEBOOKS
    }


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_settings_that_it_writes_are_valid(notebook: Path, tmp_path: Path) -> None:
    magic = "%%writefile smallforge.toml\n"
    (written,) = [cell for cell in cells(notebook, "code") if cell.startswith(magic)]
    (tmp_path / "smallforge.toml").write_text(written.removeprefix(magic))
    assert read_settings(tmp_path / "smallforge.toml").engines["default"].usd_per_hour == 0.10


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_links_lead_to_files(notebook: Path) -> None:
    links = re.findall(r"\]\(([^)\s#]+)\)", "\n".join(cells(notebook, "markdown")))
    assert links and [link for link in links if not (FOLDER / link).exists()] == []
