"""Writes a program file for rows of one's own: fields, types, a fitting metric, the chat mapping.

Guesses from the rows alone and says what it guessed; the file is short, complete and meant to be edited.
"""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from compiler.errors import StateNotWritten, UserMistake
from compiler.program_file import FieldSketch, Sketch, program_source
from programs.data import Row, read_rows
from programs.errors import DataInvalid
from programs.numerals import read_number
from programs.program import PROGRAM_NAME

ROWS_FOR_A_BUILD = 50
"""Cut 60/20/20, these give the 10 training and 10 test rows that a build needs."""
_MOST_CHOICES, _LONGEST_CHOICE = 12, 32
_SHORT_ANSWER_WORDS = 8
_USER_NAMES = ("question", "query", "message", "request", "prompt", "user", "input", "text")
_SYSTEM_NAMES = ("context", "passage", "document", "background", "instructions", "system")
_HISTORY_NAMES = ("history", "turns", "conversation", "messages")
_REASONING, _LIKE_REASONING = "reasoning", ("rationale", "explanation", "solution")


class NewProgramRefused(UserMistake):
    """The name, the place or the fields asked for can't become a program file."""


@dataclass(frozen=True)
class NewProgram:
    """What to write; without `inputs` every field that can be one is one."""

    name: str
    data: Path
    answer: str
    inputs: tuple[str, ...] = ()
    out: Path = Path()


@dataclass(frozen=True)
class Written:
    path: Path
    notes: tuple[str, ...]
    """What was guessed or left out, one sentence each."""


def new_program(asked: NewProgram) -> Written:
    """Looks at the rows and writes `<out>/<name>.py`.

    Raises:
        DataInvalid: lines that are no objects or lack the answer; carries all of them.
        NewProgramRefused: the name or a field is unusable, or the file exists.
    """
    if not PROGRAM_NAME.fullmatch(asked.name):
        raise NewProgramRefused(
            f"{asked.name!r} is no program name: use letters, digits, '-' and '_', a letter or digit first"
        )
    path = asked.out / f"{asked.name}.py"
    if path.exists():
        raise NewProgramRefused(
            f"{str(path)!r} exists; choose another name, another --out, or delete it first"
        )
    rows = read_rows(asked.data)
    _check_fields(asked, rows)
    columns = {name: [row.values.get(name) for row in rows] for name in _names(rows)}
    notes: list[str] = []
    sketch = _sketch(asked, columns, notes)
    if len(rows) < ROWS_FOR_A_BUILD:
        notes.append(
            f"A build needs about {ROWS_FOR_A_BUILD} rows to train, select and test; these are {len(rows)}."
        )
    try:
        asked.out.mkdir(parents=True, exist_ok=True)
        path.write_text(program_source(sketch, _seen_from(asked.out, asked.data)), encoding="utf-8")
    except OSError as error:
        raise StateNotWritten(f"can't write {str(path)!r}: {error.strerror}") from error
    return Written(path, tuple(notes))


def _seen_from(folder: Path, data: Path) -> str:
    """Relative where file and rows can move together, absolute where they lie far apart."""
    relative = os.path.relpath(data, folder)
    return relative if not relative.startswith(os.path.join("..", "..", "")) else str(data.resolve())


def _names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.values))


def _check_fields(asked: NewProgram, rows: Sequence[Row]) -> None:
    names = _names(rows)
    for wanted in (asked.answer, *asked.inputs):
        if wanted not in names:
            raise NewProgramRefused(f"no row has a field {wanted!r}; the rows have {', '.join(names)}")
        if not _is_field_name(wanted):
            raise NewProgramRefused(
                f"field {wanted!r} can't be a field of a program: rename it to a Python name"
            )
    missing = [row.place for row in rows if row.values.get(asked.answer) is None]
    if missing:
        raise DataInvalid(
            [f"{asked.data.name} {place}: field {asked.answer!r} is missing" for place in missing]
        )


def _sketch(asked: NewProgram, columns: Mapping[str, Sequence[Any]], notes: list[str]) -> Sketch:
    answer = _answer_field(asked.answer, columns[asked.answer])
    reasoning = all(isinstance(value, str) and value for value in columns.get(_REASONING, [None]))
    chosen = asked.inputs or tuple(_usable(asked, columns, notes))
    inputs = tuple(_input_field(name, columns[name]) for name in chosen)
    if not inputs:
        raise NewProgramRefused(f"no field beside {asked.answer!r} can be an input; name one with --input")
    numeric = answer.annotation in ("int", "float") or _mostly_numbers(columns[asked.answer])
    texts = [field for field in inputs if field.annotation == "str"]
    user = _first_named(texts, _USER_NAMES) or (texts[-1] if texts else inputs[0]).name
    others = [field for field in texts if field.name != user and field.required]
    system = others[0].name if len(others) == 1 and others[0].name in _SYSTEM_NAMES else None
    history = next((field.name for field in inputs if field.annotation == "dspy.History"), None)
    works_out = reasoning or numeric
    notes.append(f"Inputs: {', '.join(f'{f.name} ({f.annotation})' for f in inputs)}; output: {answer.name}.")
    return Sketch(
        name=asked.name,
        inputs=inputs,
        answer=answer,
        works_out=works_out,
        shows_reasoning=reasoning,
        metric=_metric(answer, columns[asked.answer], numeric),
        user=user,
        system=system,
        history=history,
        max_tokens=_max_tokens(columns, answer.name, works_out),
    )


def _usable(asked: NewProgram, columns: Mapping[str, Sequence[Any]], notes: list[str]) -> Iterator[str]:
    """The fields that can be inputs; why another is none goes into the notes."""
    for name, values in columns.items():
        if name in (asked.answer, _REASONING):
            continue
        reason = _why_no_input(name, values)
        if name == f"{asked.answer}s" or list(values) == list(columns[asked.answer]):
            reason = "it gives the answer away"
        if reason is None:
            yield name
        else:
            notes.append(f"Left {name!r} out: {reason}.")


def _why_no_input(name: str, values: Sequence[Any]) -> str | None:
    texts = {str(value) for value in values}
    if not _is_field_name(name):
        return "it is no Python name"
    if name in ("id", "qid", "uuid", "index") or (name.endswith("_id") and len(texts) == len(values)):
        return "it looks like an identifier"
    if len(values) > 1 and len(texts) == 1:
        return "it is the same in every row"
    if name in _LIKE_REASONING:
        return "it looks like a worked answer; call it 'reasoning' to have it demonstrated"
    return None


def _input_field(name: str, values: Sequence[Any]) -> FieldSketch:
    present = [value for value in values if value is not None]
    required = len(present) == len(values)
    if name in _HISTORY_NAMES and all(_are_objects(value) for value in present):
        as_chat = any("role" in turn for value in present for turn in value)
        return FieldSketch(name, "dspy.History", False, "turns" if as_chat else "none")
    annotation = _annotation(present)
    if annotation is None:
        return FieldSketch(name, "str", required, "text")
    return FieldSketch(name, annotation, required, "none")


def _answer_field(name: str, values: Sequence[Any]) -> FieldSketch:
    annotation = _annotation(values)
    if annotation is None:
        return FieldSketch(name, "str", True, "text")
    choices = sorted(set(values)) if annotation == "str" else []
    short = all(value.strip() == value and 0 < len(value) <= _LONGEST_CHOICE for value in choices)
    # A label comes back again and again; a handful of rows with as many answers are no labels.
    if short and 2 <= len(choices) <= _MOST_CHOICES and len(choices) * 3 <= len(values):
        return FieldSketch(name, "Literal", True, "none", tuple(choices))
    return FieldSketch(name, annotation, True, "none")


def _annotation(values: Sequence[Any]) -> str | None:
    """The type of all values, None where they are nested or have none in common."""
    kinds = {type(value) for value in values}
    if kinds == {list}:
        inner = _annotation([item for value in values for item in value])
        return f"list[{inner}]" if inner in ("str", "int", "float") else None
    if kinds == {int, float}:
        return "float"
    names = {str: "str", int: "int", float: "float", bool: "bool"}
    return names.get(kinds.pop()) if len(kinds) == 1 else None


def _metric(answer: FieldSketch, values: Sequence[Any], numeric: bool) -> str:
    if answer.annotation == "str" and numeric:
        return "numeric_match"
    if answer.annotation in ("int", "float"):
        return "numeric_match"
    if (
        answer.annotation == "str"
        and fmean(len(str(value).split()) for value in values) > _SHORT_ANSWER_WORDS
    ):
        return "token_f1"
    return "exact_match"


def _mostly_numbers(values: Sequence[Any]) -> bool:
    """Whether texts are numbers with at most a unit, as `$1,200` or `12 km`."""
    texts = [value for value in values if isinstance(value, str)]
    plain = [text for text in texts if len(text.split()) <= 2 and read_number(text) is not None]
    return bool(texts) and len(plain) == len(texts) and all(re.match(r"[\W\d]", text) for text in texts)


def _max_tokens(columns: Mapping[str, Sequence[Any]], answer: str, works_out: bool) -> int:
    """Room for twice the longest reply in the rows, at two characters a token; a power of two."""
    longest = max(len(str(value)) for value in columns[answer])
    if works_out:
        longest += max((len(str(value)) for value in columns.get(_REASONING, [])), default=400)
    room = 64
    while room < longest + 32:
        room *= 2
    return room


def _first_named(fields: Sequence[FieldSketch], names: Sequence[str]) -> str | None:
    present = {field.name for field in fields}
    return next((name for name in names if name in present), None)


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _is_field_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")
