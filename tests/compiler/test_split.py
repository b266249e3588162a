from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import dspy
import pytest

from compiler.errors import DataTooSmall
from compiler.request import BuildRequest, DataPaths
from compiler.split import Needed, cut_missing, load_parts, without_overlap
from programs.checks import matches
from programs.data import content_key
from programs.errors import DataInvalid
from programs.plan import Field
from tests.compiler.scripted import SumsExamples, program, request, sums

NEEDED = Needed([Field("question")], [Field("answer")])


def rows_file(folder: Path, name: str, count: int, first: int = 0) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(dict(example)) + "\n" for example in sums(count, first)))
    return path


def with_data(folder: Path, data: DataPaths, seed: int = 0) -> BuildRequest:
    return request(folder, program(), data=data, seed=seed)


def test_one_file_is_cut_60_20_20_and_its_parts_share_nothing(tmp_path: Path) -> None:
    parts = load_parts(with_data(tmp_path, DataPaths(rows_file(tmp_path, "rows.jsonl", 100))), NEEDED)
    assert (len(parts.train), len(parts.dev), len(parts.test)) == (60, 20, 20)
    keys = [content_key(example) for example in parts.all()]
    assert len(set(keys)) == 100 and "Cut 100 rows" in parts.notes[0]


def test_the_same_seed_cuts_the_same_and_another_seed_another_way(tmp_path: Path) -> None:
    data = DataPaths(rows_file(tmp_path, "rows.jsonl", 100))
    first, again, other = (load_parts(with_data(tmp_path, data, seed), NEEDED) for seed in (1, 1, 2))
    assert first.fingerprints() == again.fingerprints() != other.fingerprints()


def test_rows_that_ask_the_same_stay_in_one_part() -> None:
    parts, _ = cut_missing({"train": sums(30) * 3, "dev": [], "test": []}, seed=0)
    homes = [{content_key(example) for example in parts[split]} for split in ("train", "dev", "test")]
    assert homes[0].isdisjoint(homes[1]) and homes[1].isdisjoint(homes[2]) and homes[0].isdisjoint(homes[2])


def test_only_what_is_missing_is_cut(tmp_path: Path) -> None:
    test = rows_file(tmp_path, "test.jsonl", 15, first=500)
    parts = load_parts(
        with_data(tmp_path, DataPaths(rows_file(tmp_path, "rows.jsonl", 80), None, test)), NEEDED
    )
    assert (len(parts.train), len(parts.dev), len(parts.test)) == (60, 20, 15)


def test_without_files_the_program_brings_its_own_examples(tmp_path: Path) -> None:
    parts = load_parts(request(tmp_path, program(examples=SumsExamples(20, 10, 30))), NEEDED)
    assert (len(parts.train), len(parts.dev), len(parts.test)) == (20, 10, 30) and not parts.notes


def test_held_out_inputs_are_left_out_of_training_and_told() -> None:
    shared = sums(5)
    parts, notes = without_overlap(
        {"train": (*shared, *sums(9, 50)), "dev": tuple(shared), "test": tuple(shared)}
    )
    assert (len(parts["train"]), len(parts["dev"]), len(parts["test"])) == (9, 0, 5)
    assert "Left 5 train rows out" in notes[1]


@pytest.mark.parametrize("rows", [12, 45])
def test_too_few_rows_are_one_clean_sentence(tmp_path: Path, rows: int) -> None:
    with pytest.raises(DataTooSmall, match="rows are too few") as caught:
        load_parts(with_data(tmp_path, DataPaths(rows_file(tmp_path, "rows.jsonl", rows))), NEEDED)
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)


def test_under_a_hundred_test_rows_is_weak(tmp_path: Path) -> None:
    few, enough = (
        load_parts(request(tmp_path, program(examples=SumsExamples(20, 10, test))), NEEDED)
        for test in (99, 100)
    )
    assert few.weak and not enough.weak


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("\n")
    with pytest.raises(DataInvalid, match="holds no rows"):
        load_parts(with_data(tmp_path, DataPaths(tmp_path / "rows.jsonl")), NEEDED)


def test_labels_may_differ_where_inputs_are_the_same() -> None:
    twice = [dspy.Example(question="q", answer=answer).with_inputs("question") for answer in "ab"]
    parts, _ = cut_missing({"train": [*twice, *sums(20)], "dev": [], "test": []}, seed=0)
    assert sum(any(e.question == "q" for e in parts[split]) for split in ("train", "dev", "test")) == 1


def test_labels_that_the_programs_own_checks_refuse_are_told_for_each_part(tmp_path: Path) -> None:
    checked = replace(program(), checks=(matches("answer", r"\d{1,3}"),))
    notes = load_parts(request(tmp_path, checked), NEEDED).notes
    assert notes == (
        "The program's checks refuse the labels of 20 of 20 dev rows, the first because 'answer' must match "
        "'\\\\d{1,3}' as a whole.",
        "The program's checks refuse the labels of 40 of 40 test rows, the first because 'answer' must match "
        "'\\\\d{1,3}' as a whole.",
    )
