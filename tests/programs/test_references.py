from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from programs.books import BOOKS, ONE_CHAPTER
from programs.references import LONGEST_READ, MOST_REFERENCES, Reference, read_reference, read_references

FORMS = {
    "John 3:16": ["John 3:16"],
    "jn 3:16": ["John 3:16"],
    "Gen 1:1-3": ["Genesis 1:1-3"],
    "Gen. 1:1–3": ["Genesis 1:1-3"],
    "Gen 1:1 — 3": ["Genesis 1:1-3"],
    "Gen.1.1": ["Genesis 1:1"],
    "Gen1:1": ["Genesis 1:1"],
    "1 Cor 13": ["1 Corinthians 13"],
    "1 Corinthians chapter 13": ["1 Corinthians 13"],
    "I Cor. 13:4-7": ["1 Corinthians 13:4-7"],
    "First John 4:8": ["1 John 4:8"],
    "II Kings 2:11; 4:1, 5": ["2 Kings 2:11", "2 Kings 4:1", "2 Kings 4:5"],
    "Genesis 1:1,3,5-7": ["Genesis 1:1", "Genesis 1:3", "Genesis 1:5-7"],
    "John 1:1, 3, and 14": ["John 1:1", "John 1:3", "John 1:14"],
    "Gen 1:1 and 1:3 and John 1:1": ["Genesis 1:1", "Genesis 1:3", "John 1:1"],
    "John 3:16 and 2 more": ["John 3:16"],
    "Rom 8:28 & 31": ["Romans 8:28", "Romans 8:31"],
    "Ps 22:30-23:2": ["Psalms 22:30-23:2"],
    "Psalm 23:1-6, 24:1": ["Psalms 23:1-6", "Psalms 24:1"],
    "Gen 1-2": ["Genesis 1-2"],
    "Jude 3": ["Jude 1:3"],
    "3 Jn 4": ["3 John 1:4"],
    "Jude 1:3": ["Jude 1:3"],
    "John 3:16a": ["John 3:16"],
    "Jn 3:16-10": ["John 3:16"],
    "Rom 8:1, 1 Cor 2:9": ["Romans 8:1", "1 Corinthians 2:9"],
    "Isaiah 9:6 (cf. Isa 7:14)": ["Isaiah 9:6", "Isaiah 7:14"],
    "John 3:16 and again John 3:16": ["John 3:16"],
    "Job 3": ["Job 3"],
    "it is 3:00 and I am 5": [],
    "a job 2 years ago": [],
    "Is 3:00 fine?": [],
    "version 1.2, see chapter 3": [],
    "Genesis alone": [],
    "": [],
}


@pytest.mark.parametrize(("text", "expected"), FORMS.items())
def test_references_are_read_in_every_usual_form(text: str, expected: list[str]) -> None:
    assert [str(found) for found in read_references(text)] == expected
    assert [str(found) for found in read_references(f"What does ({text}) mean?")] == expected


def references() -> st.SearchStrategy[Reference]:
    numbers = st.integers(1, 176)

    def made(position: int, first: tuple[int, int], last: tuple[int, int], whole: bool) -> Reference:
        if BOOKS[position - 1].osis in ONE_CHAPTER:  # there `Jude 2` is a verse
            first, last = (1, first[1]), (1, last[1])
        first, last = sorted((first, last))
        if whole:
            return Reference(position, first[0], None, last[0], None)
        return Reference(position, *first, *last)

    places = st.tuples(st.integers(1, 150), numbers)
    return st.builds(made, st.integers(1, len(BOOKS)), places, places, st.booleans())


@given(references())
def test_what_is_written_is_read_as_the_same_reference(reference: Reference) -> None:
    assert read_reference(str(reference)) == reference
    assert read_references(f"See {reference}.") == [reference]


def test_a_range_covers_its_verses_and_a_chapter_all_of_its_own() -> None:
    chapter, verses, verse = (read_references(text)[0] for text in ("John 3", "John 3:14-18", "John 3:16"))
    assert chapter.covers(verses) and verses.covers(verse) and chapter.covers(verse)
    assert not verse.covers(verses) and not verses.covers(chapter)
    assert not read_references("Luke 3")[0].covers(verse)


def test_a_text_without_end_is_read_up_to_a_limit() -> None:
    listed = " ".join(f"Ps {n}:1" for n in range(1, 151))
    assert len(read_references(listed)) == MOST_REFERENCES
    assert read_references("x" * LONGEST_READ + " John 3:16") == []
    assert read_references("Ps 1-" * 250_000)
