"""Reads a model's reply as it arrives: text in, `(field, delta)` out, typed outputs at the end.

The reference is `ProgramAdapter.parse`: a marker counts at the start of a line, the first occurrence of a
field wins, text before the first marker and under unknown markers is ignored, values are stripped.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from programs.errors import ReplyUnparseable
from programs.json_values import MOST_MENDED, mended_json
from programs.plan import Field
from programs.tools import plain_calls

_HEADER = re.compile(r"\[\[ ## (\w+) ## \]\]")
# Matches every text that could still grow into a marker: each further character is optional.
_HEADER_BEGUN = re.compile(r"(?:\[(?:\[(?: (?:#(?:#(?: (?:\w+(?: (?:#(?:#(?: (?:\])?)?)?)?)?)?)?)?)?)?)?)?")
_HEADER_LINE = re.compile(r"^[^\S\n]*\[", re.MULTILINE)
# The line breaks of str.splitlines, which DSPy's parser splits at.
_BREAK = re.compile("\r\n|[\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")

_SHOWN = 200  # characters of a reply in words about it

_TYPES: dict[str, TypeAdapter[Any]] = {
    "int": TypeAdapter(int),
    "float": TypeAdapter(float),
    "bool": TypeAdapter(bool),
    "list[str]": TypeAdapter(list[str]),
    "list[int]": TypeAdapter(list[int]),
    "list[float]": TypeAdapter(list[float]),
}


class FieldDelta(NamedTuple):
    field: str
    text: str


class FieldReader:
    """Incremental reader of one reply; make a new one for each."""

    def __init__(self, outputs: Sequence[Field]) -> None:
        self._outputs = {field.name: field for field in outputs}
        self._texts: dict[str, str] = {}
        self._field: str | None = None
        self._held = ""  # a carriage return that may be half of a line break
        self._line = ""  # start of a line that may still become a marker
        self._at_line_start = True
        self._on_header_line = False
        self._space = ""  # white space that counts only if more text follows

    def feed(self, text: str) -> list[FieldDelta]:
        """Takes the next piece of the reply; returns what became certain by it."""
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        text = _BREAK.sub("\n", text[: len(text) - len(self._held)])
        deltas: list[FieldDelta] = []
        at = 0
        while at < len(text):
            end = self._end_of_block(text, at)
            if end > at:
                self._read_text(text[at:end], deltas)
            else:
                end = text.find("\n", at) + 1 or len(text)
                self._read_piece(text[at:end], deltas)
            at = end
        return deltas

    def close(self) -> list[FieldDelta]:
        """Ends the reply; what looked like the start of a marker turns out to be text."""
        deltas: list[FieldDelta] = []
        if self._line:
            self._read_text(self._line, deltas)
        self._line = self._held = ""
        return deltas

    def texts(self) -> dict[str, str]:
        """What has been read of each field so far."""
        return dict(self._texts)

    def outputs(self) -> dict[str, Any]:
        """All outputs with their types.

        Raises:
            ReplyUnparseable: an output is missing, or its text is not of its type.
        """
        missing = [f.name for f in self._outputs.values() if f.required and f.name not in self._texts]
        if missing:
            raise ReplyUnparseable(f"the reply has no {' and no '.join(repr(name) for name in missing)}")
        return {
            name: parse_value(field, self._texts[name]) if name in self._texts else field.default
            for name, field in self._outputs.items()
        }

    def _end_of_block(self, text: str, at: int) -> int:
        """Where whole lines end that can't be markers, and so can be read at once."""
        if not self._at_line_start or self._line:
            return at
        found = _HEADER_LINE.search(text, at)
        return text.rfind("\n", at, found.start() if found else len(text)) + 1 or at

    def _read_piece(self, piece: str, deltas: list[FieldDelta]) -> None:
        """Reads a line or a part of one; a line break is always the last character."""
        if not self._at_line_start:
            self._read_text(piece, deltas)
        else:
            self._line += piece
            self._read_line_start(deltas)
        if piece.endswith("\n"):
            self._at_line_start, self._on_header_line = True, False

    def _read_line_start(self, deltas: list[FieldDelta]) -> None:
        start = self._line.lstrip()
        header = _HEADER.match(start)
        if header:
            self._enter(header.group(1))
            rest = start[header.end() :]
        elif not self._line.endswith("\n") and _HEADER_BEGUN.fullmatch(start):
            return
        else:
            rest = self._line
        self._line, self._at_line_start = "", False
        self._read_text(rest, deltas)

    def _enter(self, name: str) -> None:
        fresh = name in self._outputs and name not in self._texts
        self._field = name if fresh else None
        self._space, self._on_header_line = "", True
        if fresh:
            self._texts[name] = ""

    def _read_text(self, text: str, deltas: list[FieldDelta]) -> None:
        if self._field is None:
            return
        body = text.rstrip()
        if body:
            # The field's own leading white space is dropped, inner white space is given back.
            said = self._space + body if self._texts[self._field] else body.lstrip()
            self._texts[self._field] += said
            deltas.append(FieldDelta(self._field, said))
            self._space = ""
        self._space += text[len(body) :]
        if self._on_header_line and text.endswith("\n"):
            self._space = "\n"


def parse_value(field: Field, text: str) -> Any:
    """The typed value of a field's text, as DSPy's own parser reads it.

    Raises:
        ReplyUnparseable: the text is no value of the field's type.
    """
    if field.type == "str":
        return text
    if field.type == "literal":
        return _parse_literal(field, text)
    if field.type == "enum":
        return _parse_enum(field, text)
    try:
        if field.type == "json":
            return field.json.read(_parsed(text))
        if field.type == "tool_calls":
            return plain_calls(_parsed(text))
        return _TYPES[field.type].validate_python(_parsed(text))
    # Nesting without end, which both parsers give up in ways of their own.
    except (ValueError, RecursionError, MemoryError) as error:
        raise ReplyUnparseable(
            f"output {field.name!r} must be {field.type}, the reply has {text!r:.{_SHOWN}}"
        ) from error


def _parse_enum(field: Field, text: str) -> str:
    """A choice by its value, else by its name."""
    if text in field.choices:
        return text
    if text in field.names:
        return field.choices[field.names.index(text)]
    allowed, said = ", ".join(field.choices), f"{text!r:.{_SHOWN}}"
    raise ReplyUnparseable(f"output {field.name!r} must be one of {allowed}, the reply has {said}")


def _parsed(text: str) -> Any:
    candidate: Any = mended_json(text)
    if candidate != "" or text == "":
        return candidate
    if len(text) > MOST_MENDED:
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _parse_literal(field: Field, text: str) -> str:
    value = text.strip()
    if value in field.choices:
        return value
    if value.startswith(("Literal[", "str[")) and value.endswith("]"):
        value = value[value.find("[") + 1 : -1]
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    if value not in field.choices:
        allowed = ", ".join(field.choices)
        said = f"{text!r:.{_SHOWN}}"
        raise ReplyUnparseable(f"output {field.name!r} must be one of {allowed}, the reply has {said}")
    return value
