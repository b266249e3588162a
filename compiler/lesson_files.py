"""Lessons out of a folder of mixed files: JSONL, JSON, tables, and questions with answers in plain text.

What can't be used is named with its reason, file by file and row by row. Knows nothing of builds.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from compiler.errors import StateNotWritten, UserMistake
from compiler.request import DataPaths
from programs.errors import DataInvalid
from programs.json_values import JsonUnusable, read_json
from programs.program import SPLITS, Split
from programs.release import canonical_json, digest
from programs.tasks.lesson_rows import lessons_of, unused_fields

_SHOWN = 5  # reasons in an error's text
_SURPLUS = "\0surplus"  # no header holds it
_LABEL = re.compile(
    r"[\s#>*\-\d.)]*(?P<name>q|question|query|student|a|answer|response|teacher|context|passage|grade|subject|topic)"
    r"[ \t]*\d*[ \t*]*[:：]\**[ \t]*",
    re.IGNORECASE,
)
_LABELS = {
    "q": "query", "question": "query", "student": "query",
    "a": "response", "answer": "response", "teacher": "response",
    "passage": "context", "topic": "subject",
}  # fmt: skip
_DASHES = re.compile(r"-{3,}|\*{3,}|_{3,}")
_RULE, _LOOSE = "a line of dashes", "a text without a label"
_LONGEST_LABEL = 60  # characters of a line in which one is looked for


class Passage(NamedTuple):
    """A piece of a text file, what it is, and its first line."""

    number: int
    label: str
    told: str


class Item(NamedTuple):
    """A row, or why there is none, and where in its file."""

    where: str
    values: Mapping[str, Any] | None
    problem: str = ""


@dataclass(frozen=True)
class Prepared:
    """Lessons ready to train with. `skipped` names every file and row that was not used, with the reason."""

    data: DataPaths
    counts: Mapping[Split, int]
    skipped: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    """Fields of the rows that no lesson takes anything from."""

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {split}" for split, count in self.counts.items() if count)
        lines = [f"{sum(self.counts.values())} lessons: {counts}"]
        lines += [f"fields not used: {', '.join(self.unused)}"] if self.unused else []
        return "\n".join([*lines, *(f"skipped {line}" for line in self.skipped)])


@dataclass
class _Shelf:
    """Lessons by split while they are gathered."""

    lessons: dict[Split, list[dict[str, Any]]] = field(default_factory=lambda: {s: [] for s in SPLITS})
    skipped: list[str] = field(default_factory=list)
    unused: set[str] = field(default_factory=set)
    seen: dict[str, str] = field(default_factory=dict)

    def add(self, split: Split, place: str, values: Mapping[str, Any]) -> None:
        try:
            found = lessons_of(values)
        except DataInvalid as error:
            self.skipped += [f"{place}: {mistake}" for mistake in error.mistakes]
            return
        self.unused |= unused_fields(values)
        for lesson in found:
            first = self.seen.setdefault(digest(canonical_json(lesson)), place)
            if first != place:
                self.skipped.append(f"{place}: the same lesson as {first}")
                continue
            self.lessons[split].append(lesson)


def prepare_folder(folder: Path, into: Path) -> Prepared:
    """The lessons of all files below the folder, written as JSONL into a folder of their own in `into`.

    A file called train, dev or test is that part; all others train, and what is missing is cut from them.

    Raises:
        UserMistake: there is no such folder, or no lesson to train with; names what was skipped.
    """
    if not folder.is_dir():
        raise UserMistake(f"{str(folder)!r} is no folder: give one with jsonl, json, csv, md or txt files")
    shelf = _Shelf()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        reason = _reason_to_skip(path, name)
        if reason is not None:
            shelf.skipped += [f"{name}: {reason}"] if reason else []
            continue
        split: Split = next((split for split in SPLITS if path.stem.casefold() == split), "train")
        for where, values, problem in _items(path):
            place = f"{name} {where}".strip()
            if values is None:
                shelf.skipped.append(f"{place}: {problem}")
            else:
                shelf.add(split, place, values)
    return _written(shelf, into, str(folder))


def prepare_rows(rows: Mapping[Split, list[Mapping[str, Any]]], into: Path, called: str) -> Prepared:
    """The same of rows that were read elsewhere."""
    shelf = _Shelf()
    for split, found in rows.items():
        for number, values in enumerate(found, start=1):
            shelf.add(split, f"{split} row {number}", values)
    return _written(shelf, into, called)


def _written(shelf: _Shelf, into: Path, called: str) -> Prepared:
    if not shelf.lessons["train"]:
        shown = "; ".join(shelf.skipped[:_SHOWN]) or "it is empty"
        more = f"; and {len(shelf.skipped) - _SHOWN} more" if len(shelf.skipped) > _SHOWN else ""
        raise UserMistake(f"no lesson to train with in {called!r}: {shown}{more}")
    texts = {
        split: "".join(json.dumps(lesson, ensure_ascii=False) + "\n" for lesson in lessons)
        for split, lessons in shelf.lessons.items()
    }
    # Named by what is in it, so that the same lessons are the same file for a build that is resumed.
    target = into / digest(canonical_json(texts))[:12]
    paths: dict[str, Path | None] = dict.fromkeys(SPLITS)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for split, text in texts.items():
            if text:
                paths[split] = target / f"{split}.jsonl"
                draft = target / f"{split}.draft"
                draft.write_text(text, encoding="utf-8", newline="\n")
                os.replace(draft, target / f"{split}.jsonl")
    except OSError as error:
        raise StateNotWritten(f"can't keep the lessons in {str(target)!r}: {error}") from error
    counts = {split: len(lessons) for split, lessons in shelf.lessons.items()}
    return Prepared(DataPaths(**paths), counts, tuple(shelf.skipped), tuple(sorted(shelf.unused)))


def _reason_to_skip(path: Path, name: str) -> str | None:
    """Why a path is no file of lessons; empty for a folder, whose files are looked at themselves."""
    if path.is_symlink() and path.is_dir():
        return "is a link to a folder, which is not followed"
    if path.is_dir():
        return ""
    if not path.is_file():
        return "is no file"
    if any(part.startswith((".", "~$")) for part in name.split("/")):
        return "is hidden"
    if path.suffix.casefold() not in _READERS:
        kinds = ", ".join(sorted(suffix.removeprefix(".") for suffix in _READERS))
        return f"can't be read: save it as one of {kinds}"
    return None


def _items(path: Path) -> Iterator[Item]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        yield Item("", None, "is not UTF-8: save it as UTF-8")
        return
    except OSError as error:
        yield Item("", None, f"can't be read: {error.strerror}")
        return
    found = 0
    for item in _READERS[path.suffix.casefold()](text):
        found += 1
        yield item
    if not found:
        yield Item("", None, "is empty" if not text.strip() else "holds no question with an answer")


def _read_lines(text: str) -> Iterator[Item]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _object(f"line {number}", line)


def _object(where: str, text: str) -> Item:
    try:
        return _row(where, read_json(text.encode()))
    except JsonUnusable as error:
        return Item(where, None, str(error))


def _row(where: str, values: Any) -> Item:
    if isinstance(values, dict):
        return Item(where, values)
    return Item(where, None, f"must hold an object, not {reprlib.repr(values)}")


def _read_json(text: str) -> Iterator[Item]:
    """A list of objects, an object of such lists, or one object."""
    if not text.strip():
        return
    try:
        whole = read_json(text.encode())
    except JsonUnusable as error:
        yield Item("", None, str(error))
        return
    if isinstance(whole, list):
        yield from (_row(f"item {number}", values) for number, values in enumerate(whole, start=1))
        return
    lists = _lists_of_objects(whole)
    if not lists:
        yield _row("", whole)
    for name, rows in lists.items():
        yield from (_row(f"{name} item {number}", values) for number, values in enumerate(rows, start=1))
    if lists and (others := [name for name in whole if name not in lists]):
        yield Item("", None, f"beside its lists of lessons it holds {', '.join(others)}, which was not used")


def _lists_of_objects(whole: Any) -> dict[str, list[Any]]:
    if not isinstance(whole, dict) or "query" in whole or "question" in whole:
        return {}
    return {
        name: rows
        for name, rows in whole.items()
        if isinstance(rows, list) and any(isinstance(row, dict) for row in rows)
    }


def _read_table(text: str) -> Iterator[Item]:
    """A table with a header, parted by what the header has most of: commas, semicolons or tabs."""
    header = text.partition("\n")[0]
    delimiter = max((",", ";", "\t"), key=header.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, restkey=_SURPLUS)
    items: list[Item] = []
    try:
        for values in rows:
            where = f"line {rows.line_num}"
            if _SURPLUS in values:
                items.append(Item(where, None, "has more cells than the header"))
            else:
                items.append(Item(where, values))
    except csv.Error as error:
        yield Item("", None, f"is no table that can be read: after line {rows.line_num}: {error}")
        return
    yield from items


def _read_pairs(text: str) -> Iterator[Item]:
    """`Q:` and `A:`, or Question, Student, Answer, Teacher; each text goes on to the next of these.

    Context, Grade and Subject hold for the questions below them until they are given again, or to a line of
    dashes.
    """
    standing: dict[str, str] = {}
    pair: dict[str, str] = {}
    begun = 0
    for number, label, told in [*_passages(text), Passage(0, _RULE, "")]:
        if label == "response" and "query" in pair and "response" not in pair:
            pair[label] = told
            continue
        if pair and (label in ("query", "response", _RULE) or "response" in pair):
            yield _pair(f"line {begun}", {**standing, **pair})
            pair = {}
        if label == _LOOSE:
            yield Item(f"line {number}", None, f"{reprlib.repr(told)} is part of no question or answer")
        elif label == _RULE:
            standing = {}
        elif label in ("query", "response"):
            begun, pair = number, {label: told}
        else:
            standing[label] = told


def _pair(where: str, values: Mapping[str, str]) -> Item:
    for name, called in (("query", "question"), ("response", "answer")):
        if not values.get(name):
            return Item(where, None, f"has no {called}: a line 'Q: ...', then one 'A: ...'")
    return Item(where, values)


def _passages(text: str) -> Iterator[Passage]:
    """The text cut at its labels, headings and lines of dashes; lines without any go on with the last."""
    begun, name, lines = 1, _LOOSE, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        label = _LABEL.match(line[:_LONGEST_LABEL])
        rule, heading = _DASHES.fullmatch(line.strip()) is not None, line.startswith("#")
        if label is None and not rule and not heading:
            lines.append(line.strip())
            continue
        if name != _LOOSE or any(lines):
            yield Passage(begun, name, "\n".join(lines).strip())
        begun, lines = number, [line.strip()]
        if label is not None:
            title = label["name"].casefold()
            name, lines = _LABELS.get(title, title), [line[label.end() :].strip()]
        else:
            name = _RULE if rule else _LOOSE
    if name != _LOOSE or any(lines):
        yield Passage(begun, name, "\n".join(lines).strip())


_READERS: dict[str, Callable[[str], Iterator[Item]]] = {
    ".jsonl": _read_lines,
    ".ndjson": _read_lines,
    ".json": _read_json,
    ".csv": _read_table,
    ".tsv": _read_table,
    ".md": _read_pairs,
    ".txt": _read_pairs,
}
