"""GSM8K's rows: word problems with their published solution, read from every form they come in.

Where SMALLFORGE_DATA is not set they are the sample that comes with this package: problems of our own, drawn
by `story_problems` and written by `python -m programs.tasks.gsm8k_rows`. Knows no program.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from programs.data import HubDataset, benchmark_rows, data_folder, data_is_named, read_rows
from programs.errors import DataInvalid
from programs.numerals import read_number
from programs.program import SPLITS, Split
from programs.tasks.story_problems import draw_from

TASK = "gsm8k"
SAMPLE = Path(__file__).parent / "gsm8k_sample"
SIZES: dict[Split, int] = {"train": 60, "dev": 40, "test": 100}
HUB = HubDataset("openai/gsm8k", "main", {"train": "train", "test": "test"})
# The published solutions note every sum as <<2*3=6>> for a calculator that no chat model has.
_CALCULATOR = re.compile(r"<<[^<>]*>>")


class WordProblem(NamedTuple):
    question: str
    answer: str
    """The number, without thousands commas."""
    reasoning: str
    """The published solution without the calculator's notes; empty where the row has none."""


def word_problems(split: Split) -> list[WordProblem]:
    """The split's problems; empty where the source has no such split.

    Raises:
        DataInvalid: the source can't be read, or rows are no problems; carries all of them.
    """
    if data_is_named():
        return read_word_problems(benchmark_rows(TASK, split, HUB, data_folder()), f"{TASK} {split}")
    return read_word_problems([row.values for row in read_rows(SAMPLE / f"{split}.jsonl")], f"{TASK} {split}")


def read_word_problems(rows: Sequence[Mapping[str, Any]], called: str) -> list[WordProblem]:
    """Rows as published, the number after `####`, or with the number and the `rationale` apart.

    Raises:
        DataInvalid: carries every mistake, with the row's number.
    """
    numbered = [*enumerate(rows, start=1)]
    mistakes = [f"{called} row {number} {said}" for number, row in numbered for said in _mistakes(row)]
    if mistakes:
        raise DataInvalid(mistakes)
    return [_read(row) for row in rows]


def read_word_problem(row: Mapping[str, Any]) -> WordProblem:
    """One of them. Raises DataInvalid."""
    if mistakes := [*_mistakes(row)]:
        raise DataInvalid(mistakes)
    return _read(row)


def _mistakes(row: Mapping[str, Any]) -> Iterator[str]:
    question, answer = row.get("question"), row.get("answer")
    if not (isinstance(question, str) and question.strip()):
        yield f"has no text in 'question': {question!r:.80}"
    if answer is None or read_number(_parted(answer)[1]) is None:
        yield f"has no number in 'answer': {answer!r:.80}"


def _read(row: Mapping[str, Any]) -> WordProblem:
    worked_out, number = _parted(row["answer"])
    reasoning = _CALCULATOR.sub("", str(row.get("rationale", worked_out))).strip()
    return WordProblem(row["question"], number.strip().replace(",", ""), reasoning)


def _parted(answer: object) -> tuple[str, str]:
    worked_out, _, number = str(answer).rpartition("####")
    return worked_out, number


def drawn_rows(split: Split) -> list[dict[str, str]]:
    """The sample's rows in GSM8K's own form, all different; every other one notes its sums."""
    rng = random.Random(f"{TASK} {split}")
    rows: dict[str, dict[str, str]] = {}
    while len(rows) < SIZES[split]:
        problem = draw_from(rng, split)
        noted = len(rows) % 2 == 0
        steps = [step.noted if noted else step.sentence for step in problem.steps]
        answer = "\n".join([*steps, f"#### {problem.answer:,}"])
        rows.setdefault(problem.question, {"question": problem.question, "answer": answer})
    return [*rows.values()]


def write_sample(folder: Path) -> None:
    """Writes every split's rows, always the same ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in drawn_rows(split))
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the sample's rows, always the same ones.")
    parser.add_argument("folder", type=Path, nargs="?", default=SAMPLE)
    write_sample(parser.parse_args().folder)
