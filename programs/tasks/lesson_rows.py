"""Rows of lessons as people keep them, made into the fields of the teaching program.

Knows the names and forms that fields commonly have, and the public MathDial conversations; nothing of files.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from programs.errors import DataInvalid

NAMES: Mapping[str, tuple[str, ...]] = {
    "query": ("query", "question", "prompt"),
    "context": ("context", "passage", "system"),
    "grade": ("grade", "grade_level", "level"),
    "subject": ("subject", "topic"),
    "response": ("response", "answer", "completion"),
    "key_terms": ("key_terms",),
}
"""Field -> what it may be called; the first that is there counts."""
TURNS_OF_A_CONVERSATION = 2
_END_OF_MESSAGE = "|EOM|"
_MOVE = re.compile(r"^\([a-z_ ]+\)\s*", re.IGNORECASE)


def lessons_of(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lessons of one row: one, or the first replies of a whole MathDial conversation.

    Raises:
        DataInvalid: carries everything that is wrong with the row.
    """
    row = {_plain(name): value for name, value in values.items()}
    if isinstance(row.get("conversation"), str):
        return _conversation(row)
    return [lesson_of(row)]


def lesson_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Query and response as texts; context, grade, subject and key terms where the row has them.

    Raises:
        DataInvalid: carries everything that is wrong with the row.
    """
    return _read(row, NAMES.keys(), ("query", "response"))


def inputs_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a question that is still to be answered.

    Raises:
        DataInvalid: carries everything that is wrong with it.
    """
    return _read(row, ("query", "context", "grade", "subject"), ("query",))


def _read(row: Mapping[str, Any], fields: Iterable[str], needed: Collection[str]) -> dict[str, Any]:
    known = {**_metadata(row), **row}
    lesson: dict[str, Any] = {}
    mistakes: list[str] = []
    for field in fields:
        names, name = NAMES[field], _called(field, known)
        try:
            value = None if name is None else _READERS[field](known[name])
        except ValueError as error:
            mistakes.append(f"field {name!r} {error}")
            continue
        if value:
            lesson[field] = value
        elif field in needed:
            mistakes.append(f"it has no {field}: a field {' or '.join(map(repr, names))} must hold a text")
    if mistakes:
        raise DataInvalid(mistakes)
    return lesson


def unused_fields(values: Mapping[str, Any]) -> set[str]:
    """Names of fields whose values the row's lesson doesn't take, those of its metadata too."""
    row = {_plain(name): value for name, value in values.items() if value not in (None, "")}
    if isinstance(row.get("conversation"), str):
        return row.keys() - {"conversation", "question", "student_incorrect_solution"}
    metadata = _metadata(row)
    taken = {_called(field, {**metadata, **row}) for field in NAMES}
    within = {f"metadata.{name}" for name in metadata if name not in taken or name in row}
    return {name for name in row if name not in taken and not (name == "metadata" and metadata)} | within


def _called(field: str, known: Mapping[str, Any]) -> str | None:
    """The name under which the row has it; an empty one doesn't count."""
    return next((name for name in NAMES[field] if known.get(name) not in (None, "")), None)


def _metadata(row: Mapping[str, Any]) -> dict[str, Any]:
    metadata = row.get("metadata")
    return {_plain(n): v for n, v in metadata.items()} if isinstance(metadata, Mapping) else {}


def _plain(name: object) -> str:
    return "_".join(str(name).split()).casefold()


def _conversation(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A published conversation; a teacher's turns begin with `Teacher:` and the move in brackets."""
    turns: list[dict[str, str]] = []
    lessons: list[dict[str, Any]] = []
    for part in str(row["conversation"]).split(_END_OF_MESSAGE):
        who, _, said = part.strip().partition(":")
        role = "teacher" if who.strip().casefold() == "teacher" else "student"
        said = _MOVE.sub("", said.strip()) if role == "teacher" else said.strip()
        if role == "teacher" and turns and turns[-1]["role"] == "student":
            context = {
                "problem": row.get("question"),
                "student_solution": row.get("student_incorrect_solution"),
                "history": turns[:-1],
            }
            lessons.append(lesson_of({"query": turns[-1]["content"], "context": context, "response": said}))
        turns.append({"role": role, "content": said})
    if not lessons:
        raise DataInvalid(["its conversation holds no teacher's reply to a student"])
    return lessons[:TURNS_OF_A_CONVERSATION]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a text, not {reprlib.repr(value)}")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError("holds half a character (a lone surrogate), which is no text")
    return value.strip()


def _texts(value: Any) -> str | list[str]:
    """One text, or a list of accepted ones."""
    return [text for one in value if (text := _text(one))] if isinstance(value, list) else _text(value)


def _terms(value: Any) -> list[str]:
    """A list of texts, or one text with commas or semicolons, as a table holds it."""
    items = re.split(r"[,;]", value) if isinstance(value, str) else value
    if not isinstance(items, list):
        raise ValueError(f"must be a list of texts, not {reprlib.repr(value)}")
    return [text for item in items if (text := _text(item))]


def _label(value: Any) -> str:
    """A grade may be written as a number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return f"{value:g}"
    return _text(value)


def _told(value: Any) -> str:
    """A context: a text, texts, earlier turns, or several of these by their names."""
    if isinstance(value, Mapping):
        parts = ((str(name).replace("_", " ").capitalize(), _told(item)) for name, item in value.items())
        return "\n".join(f"{name}:{_break(text)}{text}" for name, text in parts if text)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "\n".join(text for item in value if (text := _turn(item)))
    return "" if value is None else _label(value)


def _turn(item: Any) -> str:
    if isinstance(item, Mapping) and {"role", "content"} <= item.keys():
        return f"{_text(item['role']).capitalize()}: {_text(item['content'])}"
    return _told(item)


def _break(text: str) -> str:
    return "\n" if "\n" in text else " "


_READERS = {
    "query": _text,
    "context": _told,
    "grade": _label,
    "subject": _text,
    "response": _texts,
    "key_terms": _terms,
}
