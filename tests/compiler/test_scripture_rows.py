from __future__ import annotations

import pytest

from compiler.errors import DataTooSmall
from compiler.scripture_rows import Counts, generate_rows, portion, share_of, targets
from programs.program import SPLITS
from programs.references import read_reference, read_references
from programs.scripture import SAMPLE, Tables, Verse, Word, open_tables, read_ids

TABLES = open_tables(SAMPLE)
ROWS = generate_rows(TABLES, Counts(100, 20), seed=3)


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    assert generate_rows(open_tables(SAMPLE), Counts(100, 20), seed=3) == ROWS
    assert generate_rows(TABLES, Counts(100, 20), seed=4) != ROWS


def test_rows_are_as_many_as_asked_for_60_to_20_to_20() -> None:
    assert {split: len(ROWS[split]) for split in SPLITS} == {"train": 72, "dev": 24, "test": 24}
    assert sum(portion(7, split) for split in SPLITS) == 7
    assert sum(bool(row["history"]) for split in SPLITS for row in ROWS[split]) == 20


def test_no_verse_is_asked_about_or_shown_in_two_splits() -> None:
    for split in SPLITS:
        for row in ROWS[split]:
            shown = [line for line in row["context"].split("\n") if not line.startswith("Strong's:") and line]
            refs = [str(read_references(line)[0]) for line in shown]
            assert {share_of(ref) for ref in [row["ref"], *refs]} == {split}


def test_every_answer_can_be_looked_up_in_its_context() -> None:
    for row in [row for split in SPLITS for row in ROWS[split]]:
        assert set(read_ids(row["answer"])) <= set(read_ids(row["context"]))
        for reference in read_references(row["answer"]):
            assert str(reference) in row["context"]
        assert row["ref"] in row["context"] and row["question"] and row["answer"]


def test_a_word_is_asked_about_only_where_it_can_stand_for_one_original_word() -> None:
    words = {
        f"H000{n}": Word(f"H000{n}", "א", "a", gloss)
        for n, gloss in ((1, "to love"), (2, "love"), (3, "king"))
    }
    verse = Verse("Genesis 1:1", "Kings loved the king of kings.", ("H0001", "H0002", "H0003"))
    tables = Tables({(1, 1, 1): verse}, words, "here")
    assert targets(tables, verse) == []
    simple = Verse("Genesis 1:1", "He loved the king.", ("H0001", "H0003"))
    assert [(t.written, t.word.id) for t in targets(tables, simple)] == [
        ("loved", "H0001"),
        ("king", "H0003"),
    ]


def test_tables_that_hold_too_few_questions_say_how_many() -> None:
    verse = Verse("Genesis 1:1", "He loved the king.", ("H0003",))
    small = Tables({(1, 1, 1): verse}, {"H0003": Word("H0003", "א", "a", "king")}, "here")
    with pytest.raises(
        DataTooSmall, match=r"the tables \(1 verses\) hold 0 different questions of the 2 wanted for dev"
    ):
        generate_rows(small, Counts(10), seed=0)


def test_a_row_is_about_a_verse_of_the_tables() -> None:
    for row in ROWS["train"]:
        reference = read_reference(row["ref"])
        assert reference is not None and TABLES.verses(reference)
