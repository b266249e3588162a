"""The tables of scripture: verses, the Strong's ids of each, and what each id stands for.

A folder holds three files, tab-separated with a header line, plain or gzipped: `kjv` (book, chapter, verse,
ref, text), `strongs` (strongs, lemma, translit, gloss, count and more), `verse_strongs_all` (ref, strongs).
A small sample of our own lies beside the program; its verses are retold and called `verses`.
"""

from __future__ import annotations

import gzip
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from programs.data import DATA_VARIABLE, data_folder
from programs.errors import DataInvalid
from programs.references import Reference, read_reference

SAMPLE = Path(__file__).parent / "tasks" / "scripture"
MOST_VERSES = 30  # in one context
MOST_ABSENT = 5  # that are named one by one
LONGEST_CONTEXT = 12_000  # characters
_ID = re.compile(r"(?<![^\W_])([HG])0*(\d{1,4})[A-Za-z]?(?![^\W_])", re.IGNORECASE)
# What a file may be called, the first one found counts.
_FILES = {
    "verses": ("kjv.tsv.gz", "kjv.tsv", "verses.tsv"),
    "words": ("strongs.tsv.gz", "strongs.tsv"),
    "tags": ("verse_strongs_all.tsv.gz", "verse_strongs_all.tsv"),
}
_MISSING = (
    "{told}, and {folder!r} holds no {name}: `compiler data fetch scripture` gets the tables; name their "
    f"folder with --tables DIR, or set {DATA_VARIABLE} to a folder that has them as scripture/; with "
    "neither, the small bundled sample is used"
)
_Place = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Word:
    """What a Strong's id stands for."""

    id: str
    lemma: str
    translit: str
    gloss: str

    def __str__(self) -> str:
        return f'{self.id} {self.lemma} ({self.translit}) "{self.gloss}"'


@dataclass(frozen=True, slots=True)
class Verse:
    """One verse; `ids` in the order of its text, each once."""

    ref: str
    text: str
    ids: tuple[str, ...]


class Tables:
    """Verses and words, to be looked up."""

    def __init__(self, verses: Mapping[_Place, Verse], words: Mapping[str, Word], source: str) -> None:
        self.words = words
        self.source = source
        self._verses = verses
        self._places = sorted(verses)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Verse]:
        """All verses in their order."""
        return (self._verses[place] for place in self._places)

    def verses(self, reference: Reference) -> list[Verse]:
        """The verses of a reference that are there."""
        first = (reference.position, reference.chapter, reference.verse or 0)
        last = (reference.position, reference.last_chapter, reference.last_verse or 10_000)
        at, end = bisect_left(self._places, first), bisect_right(self._places, last)
        return [self._verses[place] for place in self._places[at:end]]

    def only_once(self, quoted: str) -> bool:
        """Whether one verse alone has these words, which are on one line."""
        at = self._text.find(quoted)
        return at >= 0 and self._text.find(quoted, self._text.find("\n", at)) < 0

    def words_of(self, verse: Verse) -> list[Word]:
        return [self.words[id] for id in verse.ids if id in self.words]

    def context(self, references: Sequence[Reference]) -> str:
        """The verses of all references with their words, as a program's input; says which are not there."""
        verses: dict[str, Verse] = {}
        missing: list[str] = []
        for reference in references:
            if found := self.verses(reference):
                verses |= {verse.ref: verse for verse in found}
            else:
                missing.append(self.absent(str(reference)))
        parts = _fitting([self.passage(verse) for verse in list(verses.values())[:MOST_VERSES]])
        left = [(len(verses) - len(parts), "verses are left out"), (len(missing) - MOST_ABSENT, "are absent")]
        parts += missing[:MOST_ABSENT]
        return "\n\n".join([*parts, *(f"({count} more {what}.)" for count, what in left if count > 0)])

    @cached_property
    def _text(self) -> str:
        """A verse a line."""
        return "".join(f"{verse.text}\n" for verse in self)

    def absent(self, ref: str) -> str:
        """What is said of a verse that is not there: to the model, and through it to who asked."""
        if Path(self.source) != SAMPLE:
            return f"{ref} is not in these tables."
        full = f"name full tables with --tables DIR or {DATA_VARIABLE}"
        return f"{ref} is not in the small bundled sample: {full}."

    def passage(self, verse: Verse) -> str:
        return passage(verse.ref, verse.text, map(str, self.words_of(verse)))


def passage(ref: str, text: str, words: Iterable[str]) -> str:
    """A verse as programs are shown it."""
    listed = "; ".join(words)
    return f"{ref} {text}\nStrong's: {listed}" if listed else f"{ref} {text}"


def read_ids(text: str) -> list[str]:
    """The Strong's ids in a text as letter and four digits, each once: `H430` and `h0430` are `H0430`."""
    return list(dict.fromkeys(f"{found[1].upper()}{int(found[2]):04}" for found in _ID.finditer(text)))


def open_tables(folder: Path | None = None) -> Tables:
    """The tables of that folder; else of the folder that SMALLFORGE_DATA names; else our small sample.

    Raises:
        DataInvalid: a table is missing, can't be read or lacks a column; says how to get it.
    """
    if folder is not None:
        return _read(folder, f"--tables is {str(folder)!r}")
    data = data_folder()
    if data is not None:
        return _read(data / "scripture", f"{DATA_VARIABLE} is {str(data)!r}")
    return _read(SAMPLE, "the bundled sample")


def _read(folder: Path, told: str) -> Tables:
    paths = {}
    for table, names in _FILES.items():
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            raise DataInvalid([_MISSING.format(told=told, folder=str(folder), name=names[0])])
        paths[table] = path
    tags = {row[0]: tuple(row[1].split()) for row in _rows(paths["tags"], ("ref", "strongs"))}
    verses: dict[_Place, Verse] = {}
    for ref, text in _rows(paths["verses"], ("ref", "text")):
        place = read_reference(ref)
        if place is None or place.verse is None:
            raise DataInvalid([f"{str(paths['verses'])!r} has a row whose ref is {ref!r}: give one verse"])
        ids = tuple(dict.fromkeys(tags.get(ref, ())))
        verses[place.position, place.chapter, place.verse] = Verse(ref, text, ids)
    return Tables(verses, _words(paths["words"]), str(folder))


def _words(path: Path) -> dict[str, Word]:
    """Of the senses of an id the most frequent."""
    counts: dict[str, int] = {}
    words: dict[str, Word] = {}
    for id, lemma, translit, gloss, count in _rows(path, ("strongs", "lemma", "translit", "gloss", "count")):
        often = int(count) if count.isdigit() else 0
        if often > counts.get(id, -1):
            counts[id], words[id] = often, Word(id, lemma, translit, gloss)
    return words


def _rows(path: Path, columns: Sequence[str]) -> Iterator[list[str]]:
    """Those columns of a table, row by row."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        header, *lines = data.decode("utf-8").splitlines()
    except (OSError, EOFError, ValueError) as error:
        raise DataInvalid([f"can't read the table {str(path)!r}: {error}"]) from error
    names = header.split("\t")
    missing = [name for name in columns if name not in names]
    if missing:
        raise DataInvalid([f"the table {str(path)!r} has no column {missing[0]!r}: its header is {names!r}"])
    places = [names.index(name) for name in columns]
    for number, line in enumerate(lines, 2):
        cells = line.split("\t")
        if len(cells) != len(names):
            raise DataInvalid([f"{str(path)!r} line {number} has {len(cells)} cells, not {len(names)}"])
        yield [cells[place] for place in places]


def _fitting(passages: Sequence[str]) -> list[str]:
    """As many from the front as a context may hold, one at least."""
    shown: list[str] = []
    length = 0
    for text in passages:
        length += len(text)
        if shown and length > LONGEST_CONTEXT:
            break
        shown.append(text)
    return shown
