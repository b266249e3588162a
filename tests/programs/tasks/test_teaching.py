from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dspy
import pytest

from programs.data import content_key
from programs.errors import DataInvalid
from programs.program import SPLITS
from programs.signature import signature_fields
from programs.tasks.teaching import LESSONS, as_examples, handpicked, make_module, program

SCRIPT = """
import json, sys
from programs.errors import DataInvalid
from programs.tasks.teaching import program
try:
    print(json.dumps([dict(example.items()) for example in program.examples(sys.argv[1])]))
except DataInvalid as error:
    print(json.dumps(list(error.mistakes)))
"""


def examples(split: str, **environment: str) -> Any:
    """What the program gives in a process with that environment."""
    kept = {name: value for name, value in os.environ.items() if name != "SMALLFORGE_DATA"}
    command = [sys.executable, "-c", SCRIPT, split]
    done = subprocess.run(command, env={**kept, **environment}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def own(split: str) -> list[dspy.Example]:
    return as_examples(
        [json.loads(line) for line in (LESSONS / f"{split}.jsonl").read_text().splitlines()], split
    )


def test_the_lessons_of_a_clone_are_many_and_no_two_ask_the_same() -> None:
    assert [len(own(split)) for split in SPLITS] == [40, 20, 40]
    rows = [example for split in SPLITS for example in own(split)] + list(handpicked())
    assert len({content_key(row) for row in rows}) == len({row.query for row in rows}) == 103
    assert len({row.subject for row in rows}) >= 10 and len({row.get("grade") for row in rows}) >= 8
    assert examples("dev") == [dict(example.items()) for example in own("dev")]


def test_the_lessons_teach_by_the_programs_own_score() -> None:
    scores = [program.metric(row, dspy.Prediction(response=row.response)) for row in own("test")]
    assert min(scores) >= 0.6 and sum(scores) / len(scores) > 0.9


def test_one_folder_of_data_is_read_in_every_form_of_a_row(tmp_path: Path) -> None:
    (tmp_path / "teaching").mkdir()
    context = {"problem": "2 x 2?", "history": [{"role": "teacher", "content": "Hi"}]}
    rows = [
        {"id": "a", "query": "4?", "context": context, "metadata": {"move": "focus"}, "response": "Yes"},
        {"id": "a", "query": "5?", "grade": 2, "response": "No"},
    ]
    (tmp_path / "teaching" / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    one, two = examples("train", SMALLFORGE_DATA=str(tmp_path))
    assert one["context"] == "Problem: 2 x 2?\nHistory: Teacher: Hi" and "metadata" not in one
    assert two == {"query": "5?", "grade": "2", "response": "No"}
    assert examples("test", SMALLFORGE_DATA=str(tmp_path)) == []


def test_the_library_is_asked_where_the_setting_says_so() -> None:
    # An isolated look-up of the library: whether or not it is installed, nothing can be fetched here.
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": "/nonexistent"}
    (told,) = examples("train", SMALLFORGE_DATA="datasets", **offline)
    assert told.startswith("no data for 'teaching': set SMALLFORGE_DATA to a folder")


def test_bad_rows_are_told_all_together_and_a_folder_without_lessons_by_its_name(tmp_path: Path) -> None:
    (told,) = examples("train", SMALLFORGE_DATA=str(tmp_path))
    assert "holds no teaching/train.jsonl" in told
    with pytest.raises(DataInvalid) as caught:
        as_examples([{"query": "?"}, {"query": "a", "response": "b"}, {"response": 3}], "rows")
    assert [text.partition(":")[0] for text in caught.value.mistakes] == [
        "rows row 1",
        "rows row 3",
        "rows row 3",
    ]


def test_only_the_question_has_to_be_given() -> None:
    fields = signature_fields(make_module().signature)
    assert [(field.name, field.required) for field in fields.inputs] == [
        ("query", True),
        ("context", False),
        ("grade", False),
        ("subject", False),
    ]
