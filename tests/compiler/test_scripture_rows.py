from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from compiler.errors import DataTooSmall
from compiler.scripture_rows import (
    FOLLOW_UPS,
    SINGLE,
    Counts,
    Material,
    Target,
    generate_rows,
    portion,
    share_of,
    targets,
    who,
)
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


def test_who_did_something_is_asked_and_then_what_that_word_means() -> None:
    rows = [row for split in SPLITS for row in generate_rows(TABLES, Counts(0, 60), 3)[split]]
    (row,) = [row for row in rows if row["type"] == "meaning_of_who" and row["ref"] == "Genesis 1:1"]
    asked = "Who made the heavens and the earth in Genesis 1:1?"
    assert row["history"] == [{"question": asked, "answer": "H0430 elohim"}]
    assert (row["question"], row["answer"]) == ("What does that word mean here?", "God")
    assert row["reasoning"] == 'Genesis 1:1 lists H0430 אֱלֹהִים (elohim) "God".'


def test_a_word_that_begins_a_verse_is_no_name() -> None:
    words = {"H0001": Word("H0001", "א", "a", "this"), "H0002": Word("H0002", "ב", "b", "Abram")}
    verses = {
        (1, 1, 1): Verse("Genesis 1:1", "This is the law.", ("H0001",)),
        (1, 1, 2): Verse("Genesis 1:2", "Abram is the man.", ("H0002",)),
    }
    tables = Tables(verses, words, "here")
    rows = [who(Material(tables, verse, [verse], Target("x", words["H0001"]), Random(1))) for verse in tables]
    assert [row and row["question"] for row in rows] == [None, "Who is the man in Genesis 1:2?"]


def test_every_kind_of_question_is_asked_as_often_as_its_verses_allow() -> None:
    singles, talks = (
        {row["type"] for split in SPLITS for row in ROWS[split] if bool(row["history"]) == talk}
        for talk in (False, True)
    )
    assert singles == {kind.__name__ for kind in SINGLE} and talks == {kind.__name__ for kind in FOLLOW_UPS}
    counts = Counter(row["type"] for row in ROWS["train"] if not row["history"])
    assert set(counts.values()) == {10}


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
