"""What the manual few-shot prompts of the bundled programs show: right answers to questions of no split."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from programs.data import content_key
from programs.loading import load_program
from programs.program import SPLITS
from programs.tasks import arithmetic, gsm8k, order_entry, passage_qa


@pytest.mark.parametrize("name", ["arithmetic", "gsm8k", "order_entry", "passage_qa", "scripture_qa"])
def test_no_hand_picked_example_is_in_a_split(name: str) -> None:
    program = load_program(name)
    assert program.handpicked is not None
    picked = {content_key(example) for example in program.handpicked()}
    rows = {content_key(example) for split in SPLITS for example in program.examples(split)}
    assert 3 <= len(picked) <= 4 and not picked & rows


@pytest.mark.soak
def test_no_hand_picked_word_problem_is_one_of_gsm8k() -> None:
    """Asked for on demand, since the public rows are not part of the project."""
    files = Path(os.environ["SMALLFORGE_DATA"], "gsm8k").glob("*.jsonl")
    rows = {json.loads(line)["question"] for file in files for line in file.read_text().splitlines()}
    assert rows and not {question for question, _, _ in gsm8k.HANDPICKED} & rows


@pytest.mark.parametrize(("question", "reasoning", "answer"), arithmetic.HANDPICKED)
def test_an_arithmetic_example_works_out_its_answer_from_its_numbers(
    question: str, reasoning: str, answer: int
) -> None:
    steps = re.findall(r"(\d+) ([-+x]) (\d+) = (\d+)\.", reasoning)
    held = int(re.findall(r"\d+", question)[0])
    for left, sign, right, result in steps:
        assert int(left) == held
        held = {"+": held + int(right), "-": held - int(right), "x": held * int(right)}[sign]
        assert held == int(result)
    assert held == answer and len(steps) == question.count(".") - 1


@pytest.mark.parametrize(("message", "line"), order_entry.HANDPICKED)
def test_an_order_line_is_written_as_the_house_writes_it(message: str, line: str) -> None:
    forms = order_entry.HOUSE
    written = [
        order_entry.FORMS[part][getattr(forms, part)].replace("$", r"\$") for part in order_entry.PARTS
    ]
    parts = [re.sub(r"\{\w+\}", r"\\w+", form) for form in written]
    pattern = r"\w+" + "".join(f"(; {part})?" for part in parts)
    assert re.fullmatch(pattern, line) and line.split(";")[0] in message
    assert sorted(re.findall(r"\d+", line)) == sorted(re.findall(r"\d+", message))


@pytest.mark.parametrize("example", passage_qa.handpicked())
def test_a_passage_answer_is_in_its_passage_and_in_the_house_form(example: object) -> None:
    answer, context = example["answer"], example["context"]  # type: ignore[index]
    word = answer.removeprefix("it is ")
    assert passage_qa.CONVENTIONS[passage_qa.HOUSE].format(answer=word) == answer and word in context


@pytest.mark.parametrize(("question", "reasoning", "answer"), gsm8k.HANDPICKED)
def test_a_word_problem_is_worked_out_rightly(question: str, reasoning: str, answer: str) -> None:
    steps = re.findall(r"([\d.]+) ([-+x/]) ([\d.]+) = ([\d.]+\b)", reasoning)
    for left, sign, right, result in steps:
        a, b = float(left), float(right)
        assert float(result) == {"+": a + b, "-": a - b, "x": a * b, "/": a / b}[sign]
    assert steps[-1][3] == answer and "?" in question
