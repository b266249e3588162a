"""The public data of the named tasks, in its published forms: the same examples by folder and by path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.rehearsal import fields_needed
from programs.data import fingerprint, load_examples
from programs.loading import load_program
from programs.program import SPLITS
from tests.programs.tasks.published_forms import PUBLISHED, SIZES, write_published

BY_FOLDER = """
import json, sys
from programs.data import fingerprint
from programs.loading import load_program
from programs.program import SPLITS
examples = lambda task, split: load_program(task).examples(split)
print(json.dumps({task: [fingerprint(examples(task, split)) for split in SPLITS] for task in sys.argv[1:]}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "data"
    write_published(folder)
    return folder


@pytest.fixture(scope="module")
def by_folder(folder: Path) -> dict[str, list[str]]:
    """Task -> the fingerprints of its splits, where SMALLFORGE_DATA names the folder."""
    command = [sys.executable, "-c", BY_FOLDER, *PUBLISHED]
    named = {**os.environ, "SMALLFORGE_DATA": str(folder)}
    done = subprocess.run(command, env=named, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("task", PUBLISHED)
@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_rows_by_path_are_the_same_examples_as_by_folder(
    folder: Path, by_folder: dict[str, list[str]], task: str, form: str
) -> None:
    program = load_program(task)
    needed = fields_needed(program.make_module(), program)
    files = [folder / task.removesuffix("_retrieval") / f"{split}.{form}" for split in SPLITS]
    found = [load_examples(file, *needed) for file in files]
    assert [len(examples) for examples in found] == [SIZES[split] for split in SPLITS]
    assert [fingerprint(examples) for examples in found] == by_folder[task]
