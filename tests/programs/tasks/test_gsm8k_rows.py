from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from programs.errors import DataInvalid
from programs.program import SPLITS
from programs.tasks.gsm8k_rows import (
    SAMPLE,
    SIZES,
    WordProblem,
    drawn_rows,
    read_word_problems,
    write_sample,
)
from programs.tasks.lexicon import share_of

PUBLISHED = {"question": "How many?", "answer": "He has 2*600=<<2*600=1200>>1200.\n#### 1,200"}
APART = {"question": "How many?", "answer": "1200", "rationale": "He has 2*600=<<2*600=1200>>1200."}
SUM = re.compile(r"([\d,]+) ([-+x/]) ([\d,]+) = (?:<<(\d+)([-+*/])(\d+)=(\d+)>>)?([\d,]+)")
SCRIPT = """
import json, os, sys
from programs.errors import ProgramError
from programs.tasks.gsm8k_rows import word_problems
for setting in sys.argv[1:]:
    os.environ["SMALLFORGE_DATA"] = setting
    try:
        print(json.dumps([len(word_problems(split)) for split in ("train", "dev", "test")]))
    except ProgramError as error:
        print(json.dumps(str(error)))
"""


def read_with(*settings: str) -> list[Any]:
    """For each value of SMALLFORGE_DATA the splits' sizes, or the error."""
    # An isolated look-up of the library: whether or not it is installed, nothing can be fetched here.
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": "/nonexistent"}
    command = [sys.executable, "-c", SCRIPT, *settings]
    done = subprocess.run(command, env={**os.environ, **offline}, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_both_published_forms_of_a_row_read_alike() -> None:
    assert (
        read_word_problems([PUBLISHED, APART], "rows")
        == [WordProblem("How many?", "1200", "He has 2*600=1200.")] * 2
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"question": " "}, "has no text in 'question': ' '"),
        ({"question": 7}, "has no text in 'question': 7"),
        ({"answer": None}, "has no number in 'answer': None"),
        ({"answer": "He has 3.\n#### "}, "has no number in 'answer'"),
        ({"answer": "none"}, "has no number in 'answer': 'none'"),
    ],
)
def test_a_row_that_is_no_word_problem_says_why(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DataInvalid) as caught:
        read_word_problems([PUBLISHED, {**PUBLISHED, **change}], "gsm8k dev")
    (mistake,) = caught.value.mistakes
    assert mistake.startswith(f"gsm8k dev row 2 {said}")


def test_a_row_without_a_solution_is_read_and_a_number_need_be_no_text() -> None:
    (problem,) = read_word_problems([{"question": "How many?", "answer": 1200}], "rows")
    assert problem == WordProblem("How many?", "1200", "")


def test_the_setting_decides_which_rows_are_read(tmp_path: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "train.jsonl").write_text(json.dumps(PUBLISHED) + "\n")
    (tmp_path / "gsm8k" / "dev.jsonl").write_text(json.dumps(APART) + "\n")
    sample, rows, absent, library = read_with("", str(tmp_path), str(tmp_path / "absent"), "datasets")
    assert sample == [60, 40, 100] and rows == [1, 1, 0]
    assert absent == f"SMALLFORGE_DATA is {str(tmp_path / 'absent')!r}, which holds no gsm8k/train.jsonl"
    assert library.startswith("no data for 'gsm8k': set SMALLFORGE_DATA to a folder")
    assert "`datasets` library" in library


def test_the_sample_is_what_the_generator_gives(tmp_path: Path) -> None:
    write_sample(tmp_path)
    for split in SPLITS:
        assert (tmp_path / f"{split}.jsonl").read_bytes() == (SAMPLE / f"{split}.jsonl").read_bytes()


def test_the_command_writes_the_sample(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "programs.tasks.gsm8k_rows", str(tmp_path / "made")]
    subprocess.run(command, check=True, cwd=SAMPLE.parents[2])
    assert sorted(file.name for file in (tmp_path / "made").iterdir()) == [
        "dev.jsonl",
        "test.jsonl",
        "train.jsonl",
    ]


@pytest.mark.parametrize("split", SPLITS)
def test_every_sum_of_the_sample_is_right_and_leads_to_its_answer(split: Any) -> None:
    for row in drawn_rows(split):
        worked_out, _, answer = row["answer"].rpartition("\n#### ")
        sums = [SUM.findall(line) for line in worked_out.splitlines()]
        assert 2 <= len(sums) <= 4 and all(len(found) == 1 for found in sums)
        for ((left, sign, right, *note, result),) in sums:
            a, b = (int(number.replace(",", "")) for number in (left, right))
            calculated = {"+": a + b, "-": a - b, "x": a * b, "/": a / b}[sign]
            assert int(result.replace(",", "")) == calculated
            assert note in ([""] * 4, [str(a), sign.replace("x", "*"), str(b), str(int(calculated))])
        assert sums[-1][0][-1] == answer


def test_the_samples_splits_are_of_their_share_and_have_both_ways_of_noting_sums() -> None:
    for split in SPLITS:
        rows = drawn_rows(split)
        assert {share_of(row["question"]) for row in rows} == {split}
        assert len({row["question"] for row in rows}) == SIZES[split]
        assert sum("<<" in row["answer"] for row in rows) == SIZES[split] // 2
