from __future__ import annotations

import re

import pytest

from programs.books import BOOKS, book_pattern, find_book


def test_there_are_66_books_in_their_order_39_of_them_hebrew() -> None:
    assert [book.position for book in BOOKS] == list(range(1, 67))
    assert sum(book.hebrew for book in BOOKS) == 39
    assert (BOOKS[0].osis, BOOKS[38].osis, BOOKS[65].osis) == ("Gen", "Mal", "Rev")


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.osis)
def test_every_way_to_write_a_book_is_found_and_matched(book: object) -> None:
    pattern = re.compile(book_pattern(), re.IGNORECASE)
    for written in (book.osis, book.name, *book.others):  # type: ignore[attr-defined]
        for form in (written, written.upper(), f"{written}."):
            assert find_book(form) is book
            assert pattern.match(f"{form} 1:1")


@pytest.mark.parametrize(
    ("written", "osis"),
    [
        *((f"{count} Samuel", "2Sam") for count in ("2", "II", "ii", "2nd", "Second")),
        *((f"{count}John", "1John") for count in ("1", "I ", "1st ", "First ")),
        ("III Jn.", "3John"),
        ("Song of Songs", "Song"),
        ("Acts of the Apostles", "Acts"),
        ("1 cor.", "1Cor"),
    ],
)
def test_a_books_number_may_be_roman_arabic_or_a_word(written: str, osis: str) -> None:
    found = find_book(written)
    assert found is not None and found.osis == osis


@pytest.mark.parametrize("written", ["", "4 John", "Enoch", "1 Genesis", "II Romans"])
def test_what_is_no_book_is_none(written: str) -> None:
    assert find_book(written) is None
