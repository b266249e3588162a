"""What the page on word problems tells is so."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path

import pytest

from compiler.evaluation.statistics import mean_interval
from programs.numerals import read_number
from programs.tasks import gsm8k
from programs.tasks.gsm8k_rows import SIZES, WordProblem, read_word_problems

PAGE = (Path(__file__).parents[1] / "docs" / "gsm8k.md").read_text()
COUNTED = {3: "Three", 4: "Four"}
MEANT = {"one half": Fraction(1, 2), "two and a half": Fraction(5, 2)}


def test_the_numbers_of_the_page_are_read_as_it_says() -> None:
    table = PAGE.partition("| what | is read as |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`.+`) \| (.+) \|$", table, re.MULTILINE)
    assert len(rows) == 6
    for texts, meant in rows:
        number = MEANT[meant] if meant in MEANT else Fraction(meant)
        assert {read_number(text) for text in re.findall(r"`([^`]+)`", texts)} == {number}


def test_the_row_of_the_page_is_a_word_problem() -> None:
    (row,) = re.findall(r"```jsonl\n(.*)\n```", PAGE)
    (problem,) = read_word_problems([json.loads(row)], "page")
    solution = "She has 6 x 4 = 24 rolls.\nSo 24 - 10 = 14 are left."
    assert problem == WordProblem(
        "Ann bakes 6 trays of 4 rolls and sells 10. How many are left?", "14", solution
    )


def test_the_sizes_of_the_page_are_those_of_the_sample_and_of_a_reply() -> None:
    assert "{train}, {dev} and {test} problems".format(**SIZES) in PAGE
    assert f"may have {gsm8k.program.sampling.max_tokens} tokens" in PAGE
    assert f"{COUNTED[len(gsm8k.handpicked())]} problems with their working" in PAGE


@pytest.mark.parametrize(("rows", "points"), [(100, 10), (1319, 3)])
def test_the_intervals_of_the_page_are_as_wide_as_it_says(rows: int, points: int) -> None:
    interval = mean_interval([0.0, 1.0] * (rows // 2))
    assert points - 1 < 50 * (interval.high - interval.low) < points
