"""References to verses: read out of any text, written in one form.

`John 3:16`, `Gen. 1:1-3`, `1 Cor 13`, `II Kings 2:11; 4:1, 5`, `Ps 22:30–23:2`. What is read need not exist:
which verses there are is for the tables to say. Strangers write it: only `LONGEST_READ` of it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from programs.books import BOOKS, ONE_CHAPTER, Book, book_pattern, find_book

MOST_REFERENCES = 100  # of one text
LONGEST_READ = 20_000  # characters

_DASH = r"\s{0,2}[-‐‑‒–—−]\s{0,2}"
_VERSE = r"\d{1,3}[a-c]?"
# Chapter, a verse or several; or, of a range over chapters, both ends.
_PLACE = rf"\d{{1,3}}(?:\s?[:.]\s?{_VERSE}(?!\s?:\s?\d))?(?:{_DASH}\d{{1,3}}[a-c]?(?:\s?[:.]\s?{_VERSE})?)?"
_MORE = (
    rf"(?:\s{{0,2}}[,;]\s{{0,2}}(?:and\s)?{_PLACE}|\s{{0,2}}&\s{{0,2}}{_PLACE}"
    rf"|\sand\s(?=\d{{1,3}}[:.]\d){_PLACE})"
)
_MARK = re.compile(r"[,;&]|\band\b", re.IGNORECASE)
# A next book may begin with a number: the 1 in `Rom 8:1, 1 Cor 2:9` is no verse.
_NO_BOOK = r"(?!\s{0,2}(?:st\b|nd\b|rd\b)?(?!and\b|or\b)[A-Za-z]{2,})"
_REFERENCE = re.compile(
    rf"(?<![^\W_])(?P<book>{book_pattern()})\s{{0,3}}(?:chapters?\s|ch\.?\s)?"
    rf"(?P<places>{_PLACE}(?:{_MORE}{_NO_BOOK}(?![\d])){{0,50}})(?![\d])",
    re.IGNORECASE,
)
_SPAN = re.compile(
    rf"(?P<chapter>\d{{1,3}})(?:\s?[:.]\s?(?P<verse>\d{{1,3}})[a-c]?)?"
    rf"(?:{_DASH}(?:(?P<last_chapter>\d{{1,3}})\s?[:.]\s?)?(?P<last>\d{{1,3}})[a-c]?)?",
)


@dataclass(frozen=True, order=True)
class Reference:
    """From one verse to another, both included; a verse that is None is the chapter's first or last."""

    position: int
    chapter: int
    verse: int | None = None
    last_chapter: int = 0
    last_verse: int | None = None

    def __post_init__(self) -> None:
        if not self.last_chapter:
            object.__setattr__(self, "last_chapter", self.chapter)
            object.__setattr__(self, "last_verse", self.last_verse or self.verse)

    @property
    def book(self) -> Book:
        return BOOKS[self.position - 1]

    @property
    def single(self) -> bool:
        """Whether it is one verse."""
        return self.verse is not None and (self.chapter, self.verse) == (self.last_chapter, self.last_verse)

    def covers(self, other: Reference) -> bool:
        """Whether all of the other lies within it."""
        return (
            self.position == other.position
            and (self.chapter, self.verse or 0) <= (other.chapter, other.verse or 0)
            and (other.last_chapter, other.last_verse or _ALL) <= (self.last_chapter, self.last_verse or _ALL)
        )

    def __str__(self) -> str:
        """The book's full name with chapter and verse: what `read_references` reads as this reference."""
        first = f"{self.book.name} {self.chapter}"
        if self.verse is not None:
            first += f":{self.verse}"
        if self.single or (self.verse is None and self.chapter == self.last_chapter):
            return first
        if self.chapter == self.last_chapter:
            return f"{first}-{self.last_verse}"
        return f"{first}-{self.last_chapter}" + ("" if self.last_verse is None else f":{self.last_verse}")


_ALL = 1_000  # beyond every verse number


def read_references(text: str) -> list[Reference]:
    """The references in a text in their order, each once, the first hundred.

    A book alone is no reference, but a chapter is. A range that runs backwards is read as its first verse.
    """
    found: dict[Reference, None] = {}
    for match in _REFERENCE.finditer(text[:LONGEST_READ]):
        book = find_book(match["book"].rstrip("."))
        if book is not None and not _is_a_word(match):
            found.update(dict.fromkeys(_read_places(book, match["places"])))
        if len(found) >= MOST_REFERENCES:
            break
    return list(found)[:MOST_REFERENCES]


def read_reference(text: str) -> Reference | None:
    """The only reference of a text; None where there is none, or more than one."""
    found = read_references(text)
    return found[0] if len(found) == 1 else None


def _read_places(book: Book, places: str) -> Iterable[Reference]:
    """Each place of a list; one without a chapter belongs to the chapter before it."""
    chapter: int | None = None
    for at, piece in enumerate(_MARK.split(places)):
        match = _SPAN.search(piece)
        if match is None:
            continue
        first, verse, last = int(match["chapter"]), _number(match["verse"]), _number(match["last"])
        last_chapter = _number(match["last_chapter"])
        if first == 0 or verse == 0:
            continue  # a time of day, as in 3:00
        if verse is None and last_chapter is None and _is_verse(book, at, chapter, places, piece):
            chapter = chapter or 1
            yield _ordered(book, (chapter, first), (chapter, last or first))
            continue
        if verse is None and last_chapter is None:
            yield Reference(book.position, first, None, max(first, last or first), None)
            continue
        # `Ps 22-23:2` begins with the whole chapter.
        chapter = last_chapter or first
        yield _ordered(book, (first, verse), (chapter, last if last is not None else verse))


def _is_verse(book: Book, at: int, chapter: int | None, places: str, piece: str) -> bool:
    """Whether a bare number is a verse: after a verse and a comma, or in a book of one chapter."""
    if book.osis in ONE_CHAPTER and chapter is None:
        return not (at == 0 and piece.strip() == "1" and piece == places)
    before = places[: _start(places, at)].rstrip().removesuffix("and").rstrip()
    return chapter is not None and before[-1:] in (",", "&")


def _start(places: str, at: int) -> int:
    """Where the piece of that number begins."""
    begins = [0, *(mark.end() for mark in _MARK.finditer(places))]
    return begins[at]


def _ordered(book: Book, first: tuple[int, int | None], last: tuple[int, int | None]) -> Reference:
    if (last[0], last[1] or _ALL) < (first[0], first[1] or 0):
        last = first
    return Reference(book.position, first[0], first[1], last[0], last[1])


def _number(digits: str | None) -> int | None:
    return None if digits is None else int(digits)


def _is_a_word(match: re.Match[str]) -> bool:
    """`it is 3`, `a job 2 years ago`: such a word is a book with a capital, a short one with a verse too."""
    written = match["book"].rstrip(".")
    if written.lower() not in _WORDS:
        return False
    return written.islower() or (
        len(written) <= _SHORT and written.lower() != "job" and not re.search(r"[:.]\s?\d", match["places"])
    )


_SHORT = 3
_WORDS = frozenset(
    {
        *(
            "is",
            "am",
            "so",
            "as",
            "job",
            "acts",
            "act",
            "mark",
            "mar",
            "mat",
            "songs",
            "song",
            "judge",
            "numbers",
        ),
        *(
            "la",
            "pro",
            "pm",
            "pp",
            "pr",
            "re",
            "ho",
            "ex",
            "mt",
            "ml",
            "mr",
            "le",
            "ge",
            "nu",
            "na",
            "es",
            "hb",
        ),
        *("da", "je", "jam", "ob", "de", "jon"),
    }
)
