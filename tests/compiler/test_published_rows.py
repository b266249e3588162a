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
from tests.programs.tasks.published_forms import PUBLISHED, SIZES, as_columns, write_published

LIBRARY = """
import json
from pathlib import Path


def load_dataset(name, config, split):
    kept = json.loads((Path(__file__).parent / "kept.json").read_text())
    return kept[f"{name} {config} {split}"]
"""
FINGERPRINTS = """
import json, sys
from programs.data import fingerprint
from programs.loading import load_program
from programs.program import SPLITS
examples = lambda task, split: load_program(task).examples(split)
print(json.dumps({task: [fingerprint(examples(task, split)) for split in SPLITS] for task in sys.argv[1:]}))
"""


def fingerprints(*tasks: str, **surroundings: str) -> dict[str, list[str]]:
    """Of each task's splits, in a process with these variables."""
    command = [sys.executable, "-c", FINGERPRINTS, *tasks]
    named = {**os.environ, **surroundings}
    done = subprocess.run(command, env=named, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "data"
    write_published(folder)
    return folder


@pytest.fixture(scope="module")
def by_folder(folder: Path) -> dict[str, list[str]]:
    """Task -> the fingerprints of its splits, where SMALLFORGE_DATA names the folder."""
    return fingerprints(*PUBLISHED, SMALLFORGE_DATA=str(folder))


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


def test_rows_by_the_datasets_library_are_the_same_examples(
    tmp_path: Path, by_folder: dict[str, list[str]]
) -> None:
    rows = {
        task: {split: PUBLISHED[task](split)[: SIZES[split]] for split in SPLITS}
        for task in ("gsm8k", "hotpotqa", "teaching")
    }
    columns = {split: [as_columns(row) for row in found] for split, found in rows["hotpotqa"].items()}
    kept = {
        "openai/gsm8k main train": rows["gsm8k"]["train"],
        "openai/gsm8k main test": rows["gsm8k"]["test"],
        "hotpotqa/hotpot_qa distractor train[:2000]": columns["train"],
        "hotpotqa/hotpot_qa distractor validation[:500]": columns["dev"],
        "hotpotqa/hotpot_qa distractor validation[500:1500]": columns["test"],
        "eth-nlped/mathdial default train": rows["teaching"]["train"],
        "eth-nlped/mathdial default test": rows["teaching"]["test"],
    }
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text(LIBRARY)
    (tmp_path / "datasets" / "kept.json").write_text(json.dumps(kept))
    by_library = {"SMALLFORGE_DATA": "datasets", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(tmp_path)}
    found = fingerprints("gsm8k", "hotpotqa", "hotpotqa_retrieval", "teaching", **by_library)
    no_rows = fingerprint([])
    for task, (train, dev, test) in found.items():
        assert [train, test] == [by_folder[task][0], by_folder[task][2]]
        assert dev == (by_folder[task][1] if "hotpotqa" in task else no_rows)
