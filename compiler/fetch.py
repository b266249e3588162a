"""Brings the tables of scripture from where they are published, and writes them as programs read them.

Every file is of one commit and is taken only if it has the id that git gave its content. What is published is
kept as it is; the tables select from it: verses, words with their glosses, and which words each verse has.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import re
import tomllib
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from compiler.errors import FetchFailed
from programs.books import BOOKS, find_book

SOURCES = Path(__file__).parent / "scripture_sources.toml"
MOST_BYTES = 200 * 1024 * 1024  # of one file
_SECONDS = 60.0
_ENTRY = re.compile(r"[HG]\d{4}")
# Gen.31.55(32.1)#01=L: the numbering in front is the English one. Rom.16.25[14.24]#01=NKO: in square brackets
# that of the King James Version, where it differs.
_WORD = re.compile(
    r"(?P<book>[1-3]?[A-Za-z]+)\.(?P<chapter>\d+)\.(?P<verse>\d+)(?P<other>[\[({][^#]*)?#\d+=(?P<type>\S+)"
)
_KJV_PLACE = re.compile(r"\[(?:(\d+)\.)?(\d+)\]")
_IN_ID = re.compile(r"([HG]\d{4})[A-Z]?")
_GRAMMATICAL = re.compile(r"H9\d{3}")  # prefixes, suffixes and punctuation

Say = Callable[[str], None]
Get = Callable[["Source", str], bytes]


@dataclass(frozen=True)
class Source:
    """A repository at one commit: its address, and the files that are taken with the ids of their content."""

    base: str
    credit: str
    licence: str
    files: Mapping[str, str]


class Tagged(NamedTuple):
    """A word of a verse."""

    ref: str
    id: str
    extended: str


def read_sources(path: Path = SOURCES) -> dict[str, Source]:
    return {name: Source(**table) for name, table in tomllib.loads(path.read_text("utf-8")).items()}


def fetch_scripture(out: Path, sources: Mapping[str, Source], say: Say, mirror: str | None = None) -> None:
    """Writes kjv, strongs and verse_strongs_all into the folder, and whom to thank.

    `mirror` is another server that has the same paths.

    Raises:
        FetchFailed: a file can't be had, is not the one that was published, or is not in its known form.
    """

    def get(source: Source, name: str) -> bytes:
        say(f"{name} ...")
        return download(_address(source, name, mirror), source.files[name])

    kjv, step = sources["kjv"], sources["step"]
    verses = [row for book in BOOKS for row in _verses_of(book.name, get(kjv, _file_of(book.name)))]
    texts = {name: _text(get(step, name), name) for name in step.files}
    tagged = [
        word for name, text in texts.items() if "TAHOT" in name or "TAGNT" in name for word in words_of(text)
    ]
    counts = Counter(word.extended for word in tagged)
    entries = [
        row for name, text in texts.items() if "TBES" in name for row in entries_of(text, counts, name)
    ]
    _refuse_empty({"verses": verses, "words of verses": tagged, "entries of the lexicons": entries})
    known: dict[str, list[str]] = {ref: [] for *_, ref, _ in verses}
    for word in tagged:
        if word.ref in known:
            known[word.ref].append(word.id)
    tags = [(ref, " ".join(ids)) for ref, ids in known.items()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write(out / "kjv.tsv.gz", ("book", "chapter", "verse", "ref", "text"), verses)
        columns = ("strongs", "ext_strongs", "lemma", "translit", "pos", "gloss", "count", "source")
        _write(out / "strongs.tsv.gz", columns, entries)
        _write(out / "verse_strongs_all.tsv.gz", ("ref", "strongs"), tags)
        credits = [f"{s.credit}\nLicence: {s.licence}\nFrom: {s.base}\n" for s in sources.values()]
        (out / "CREDITS.txt").write_text("\n".join([*credits, _CHANGES]), encoding="utf-8")
    except OSError as error:
        raise FetchFailed(f"can't write into {str(out)!r}: {error.strerror}") from error
    say(f"{len(verses):,} verses and {len(entries):,} words in {str(out)!r}")


_CHANGES = "Changed: columns selected, the words of each verse listed by their plain Strong's ids.\n"


def download(url: str, wanted: str) -> bytes:
    """The content at the address, if it is the one with that git id.

    Raises:
        FetchFailed: it can't be had, or is another; says both ids.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise FetchFailed(f"can't fetch {url!r}: give an address that begins with https:// or http://")
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as reply:
            data: bytes = reply.read(MOST_BYTES + 1)
    except (OSError, http.client.HTTPException, urllib.error.URLError) as error:
        raise FetchFailed(
            f"can't fetch {url!r}: {error}; try again, or name a server with the same paths by --mirror"
        ) from error
    if len(data) > MOST_BYTES:
        raise FetchFailed(f"{url!r} has more than {MOST_BYTES >> 20} MiB")
    found = git_id(data)
    if found != wanted:
        raise FetchFailed(f"{url!r} is not the file that was published: its git id is {found}, not {wanted}")
    return data


def git_id(data: bytes) -> str:
    """The id that git gives a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def entries_of(text: str, counts: Mapping[str, int], name: str) -> Iterator[tuple[str, ...]]:
    """The entries of a lexicon, TBESH or TBESG, without their definitions."""
    source = "TBESH" if "TBESH" in name else "TBESG"
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) < 7 or not _ENTRY.match(cells[0]):
            continue
        extended = cells[1].split(" ")[0].rstrip("=")
        id = cells[0][:5]
        if not _GRAMMATICAL.fullmatch(id):
            yield (id, extended, cells[3], cells[4], cells[5], cells[6], str(counts.get(extended, 0)), source)


def words_of(text: str) -> Iterator[Tagged]:
    """The words of TAHOT or TAGNT under the King James Version's numbers; of Greek those of its own text."""
    for line in text.splitlines():
        cells = line.split("\t")
        match = _WORD.match(cells[0])
        if match is None or len(cells) < 5 or match["verse"] == "0":  # a psalm's title
            continue
        book = find_book(match["book"])
        if book is None:
            raise FetchFailed(f"a word stands in {match['book']!r}, which is no known book")
        if not (book.hebrew or "k" in match["type"].lower()):
            continue
        chapter, verse = _place(match)
        for found in _IN_ID.finditer(cells[4] if book.hebrew else cells[3]):
            if not _GRAMMATICAL.fullmatch(found[1]):
                yield Tagged(f"{book.name} {chapter}:{verse}", found[1], found[0])


def _place(match: re.Match[str]) -> tuple[str, str]:
    other = _KJV_PLACE.search(match["other"] or "")
    if other is None:
        return match["chapter"], match["verse"]
    return other[1] or match["chapter"], other[2]


def _verses_of(book: str, data: bytes) -> list[tuple[str, ...]]:
    found = find_book(book)
    assert found is not None, "asked of our own table"
    try:
        chapters = json.loads(data)["chapters"]
        return [
            (
                found.osis,
                c["chapter"],
                v["verse"],
                f"{book} {c['chapter']}:{v['verse']}",
                " ".join(v["text"].split()),
            )
            for c in chapters
            for v in c["verses"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise FetchFailed(f"{_file_of(book)} is not in its known form: {error!r}") from error


def _file_of(book: str) -> str:
    return f"{book.replace(' ', '')}.json"


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FetchFailed(f"{name!r} is not UTF-8: {error}") from error


def _address(source: Source, name: str, mirror: str | None) -> str:
    base = source.base if mirror is None else mirror.rstrip("/") + urlsplit(source.base).path
    return base + quote(name)


def _refuse_empty(found: Mapping[str, Sequence[object]]) -> None:
    for what, rows in found.items():
        if not rows:
            raise FetchFailed(f"the published files hold no {what} in the known form")


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """The same rows are the same bytes, whenever they are written."""
    lines = ["\t".join(columns), *("\t".join(row) for row in rows)]
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
