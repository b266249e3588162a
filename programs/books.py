"""The 66 books: their order, their OSIS names, and the ways in which people write them.

Knows nothing of chapters, verses or tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Book:
    """One book; `position` counts from 1, `others` are ways to write it beside its two names."""

    osis: str
    name: str
    position: int
    others: tuple[str, ...] = ()

    @property
    def hebrew(self) -> bool:
        """Of the Old Testament, whose Strong's ids begin with H."""
        return self.position <= _LAST_HEBREW


_LAST_HEBREW = 39
# OSIS name, name, other ways to write it. A leading number may be written 1, I, 1st or First.
_TABLE = """
Gen|Genesis|ge gn
Exod|Exodus|ex exo
Lev|Leviticus|le lv
Num|Numbers|nu nm nb
Deut|Deuteronomy|de dt deu
Josh|Joshua|jos jsh
Judg|Judges|jdg jg jdgs judge
Ruth|Ruth|ru rth rut
1Sam|1 Samuel|1sa 1sm 1s
2Sam|2 Samuel|2sa 2sm 2s
1Kgs|1 Kings|1ki 1kin 1king 1k
2Kgs|2 Kings|2ki 2kin 2king 2k
1Chr|1 Chronicles|1ch 1chron 1chronicle
2Chr|2 Chronicles|2ch 2chron 2chronicle
Ezra|Ezra|ezr
Neh|Nehemiah|ne
Esth|Esther|es est
Job|Job|jb
Ps|Psalms|psa psalm pss psm pslm
Prov|Proverbs|pr prv pro proverb
Eccl|Ecclesiastes|ec ecc eccles qoh qoheleth
Song|Song of Solomon|sos so sng songofsongs songs canticles canticleofcanticles cant
Isa|Isaiah|is
Jer|Jeremiah|je jr
Lam|Lamentations|la
Ezek|Ezekiel|eze ezk
Dan|Daniel|da dn
Hos|Hosea|ho
Joel|Joel|jl joe jol
Amos|Amos|am amo
Obad|Obadiah|ob oba
Jonah|Jonah|jnh jon
Mic|Micah|mc
Nah|Nahum|na nam
Hab|Habakkuk|hb
Zeph|Zephaniah|zep zp
Hag|Haggai|hg
Zech|Zechariah|zec zc
Mal|Malachi|ml
Matt|Matthew|mt mat
Mark|Mark|mk mrk mr mar
Luke|Luke|lk luk
John|John|jn jhn joh
Acts|Acts|ac act actsoftheapostles
Rom|Romans|ro rm
1Cor|1 Corinthians|1co 1corinthian
2Cor|2 Corinthians|2co 2corinthian
Gal|Galatians|ga
Eph|Ephesians|ephes
Phil|Philippians|php pp phlp
Col|Colossians|
1Thess|1 Thessalonians|1th 1thes 1thessalonian
2Thess|2 Thessalonians|2th 2thes 2thessalonian
1Tim|1 Timothy|1ti 1tm
2Tim|2 Timothy|2ti 2tm
Titus|Titus|tit
Phlm|Philemon|phm pm philem
Heb|Hebrews|
Jas|James|jm jam
1Pet|1 Peter|1pe 1pt 1p
2Pet|2 Peter|2pe 2pt 2p
1John|1 John|1jn 1jo 1joh 1jhn 1j
2John|2 John|2jn 2jo 2joh 2jhn 2j
3John|3 John|3jn 3jo 3joh 3jhn 3j
Jude|Jude|jud jd
Rev|Revelation|re rv revelations apocalypse
"""


def _read_table() -> tuple[Book, ...]:
    rows = [line.split("|") for line in _TABLE.split("\n") if line]
    return tuple(Book(row[0], row[1], place, tuple(row[2].split())) for place, row in enumerate(rows, 1))


BOOKS: tuple[Book, ...] = _read_table()
ONE_CHAPTER = frozenset({"Obad", "Phlm", "2John", "3John", "Jude"})
"""Books whose only chapter needs no number: Jude 3 is Jude 1:3."""

_COUNTS = {
    "i": "1", "ii": "2", "iii": "3", "1st": "1", "2nd": "2", "3rd": "3",
    "first": "1", "second": "2", "third": "3",
}  # fmt: skip
_COUNT = re.compile(r"(iii|ii|i|1st|2nd|3rd|first|second|third|[123])[ .]*(?=[a-z])", re.IGNORECASE)


def _keyed() -> Mapping[str, Book]:
    keys: dict[str, Book] = {}
    for book in BOOKS:
        for written in (book.osis, book.name, *book.others):
            key = written.lower().replace(" ", "")
            assert key not in keys or keys[key] is book, f"{key} is two books"
            keys[key] = book
    return MappingProxyType(keys)


_BY_KEY = _keyed()


def find_book(written: str) -> Book | None:
    """The book that is written so, whatever the case, points and spaces: `I Cor.`, `1st John`."""
    key = re.sub(r"[\s.]+", "", written.lower())
    found = _BY_KEY.get(key)
    if found is None and (count := _COUNT.match(written.strip())):
        rest = re.sub(r"[\s.]+", "", written.strip()[count.end() :].lower())
        found = _BY_KEY.get(_COUNTS.get(count[1].lower(), count[1]) + rest)
    return found


def book_pattern() -> str:
    """A regular expression, for text in any case, of every way in which a book is written."""
    plain: set[str] = set()
    counted: set[str] = set()
    for book in BOOKS:
        for written in (book.osis, book.name, *book.others):
            (counted if book.name[0].isdigit() else plain).add(written.lower().lstrip("123 "))
    plain |= {"song of songs", "canticle of canticles", "acts of the apostles"}
    longest_first = [sorted(names, key=len, reverse=True) for names in (counted, plain)]
    of_counted, of_plain = (
        "|".join(re.escape(name).replace(r"\ ", r"\s+") for name in names) for names in longest_first
    )
    count = r"(?:iii|ii|i|1st|2nd|3rd|first|second|third|[123])"
    return rf"(?:{count}\s{{0,2}}(?:{of_counted})|(?:{of_plain}))\.?"
