from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import dspy

from programs.signature import signature_fields
from programs.tasks.gsm8k import make_module, program

SCRIPT = """
import json, sys
from programs.errors import DataInvalid
from programs.tasks.gsm8k import program
try:
    print(json.dumps([dict(example.items()) for example in program.examples(sys.argv[1])]))
except DataInvalid as error:
    print(json.dumps(str(error)))
"""


def examples(split: str, **environment: str) -> Any:
    """What the program gives in a process with that environment."""
    kept = {name: value for name, value in os.environ.items() if name != "SMALLFORGE_DATA"}
    command = [sys.executable, "-c", SCRIPT, split]
    done = subprocess.run(command, env={**kept, **environment}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_published_solution_is_the_reasoning_of_an_example(tmp_path: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    row = {"question": "How many?", "answer": "He has 2*600=<<2*600=1200>>1200.\n#### 1,200"}
    lines = [json.dumps(row), json.dumps({"question": "How many?", "answer": "3"})]
    (tmp_path / "gsm8k" / "train.jsonl").write_text("\n".join(lines))
    worked, bare = examples("train", SMALLFORGE_DATA=str(tmp_path))
    assert worked == {"question": "How many?", "reasoning": "He has 2*600=1200.", "answer": "1200"}
    assert bare == {"question": "How many?", "answer": "3"}
    assert examples("test", SMALLFORGE_DATA=str(tmp_path)) == []


def test_without_a_setting_the_examples_are_the_sample() -> None:
    train = examples("train")
    assert len(train) == 60 and {*train[0]} == {"question", "answer", "reasoning"}
    assert all("<<" not in example["reasoning"] for example in train)
    assert all(re.fullmatch(r"\d+", example["answer"]) for example in train)


def test_the_number_counts_and_not_how_it_is_written() -> None:
    example = dspy.Example(question="?", answer="1200")
    assert program.metric(example, dspy.Prediction(answer="$1,200.00 in all")) == 1
    assert program.metric(example, dspy.Prediction(answer="120")) == 0


def test_the_module_reasons_before_it_answers() -> None:
    fields = signature_fields(make_module().predict.signature)
    assert [field.name for field in fields.outputs] == ["reasoning", "answer"]
