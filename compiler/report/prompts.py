"""The compiled prompt beside the unoptimised one: what was added, what was taken away, what it weighs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from compiler.report.text import plain

Message = Mapping[str, str]
Prompts = Mapping[str, Sequence[Message]]

MOST_MESSAGES = 60  # of one prompt
_MOST_PROMPTS = 20
_MOST_OF_A_MESSAGE, _MOST_OF_ALL = 12_000, 90_000  # characters
_MOST_COMPARED = 3_000  # lines, or words of changed lines; beyond that all is old and new
_AROUND = 2  # unchanged lines beside a changed one that are not folded


class Piece(NamedTuple):
    """A run of text within a changed line."""

    kind: Literal["same", "added", "gone"]
    text: str


@dataclass(frozen=True)
class Block:
    """Lines that are all unchanged, which may be folded, or pieces of what was changed."""

    pieces: Sequence[Piece]
    folded: int = 0
    """How many unchanged lines it hides; 0 shows it."""


@dataclass(frozen=True)
class Compared:
    """One message of the compiled prompt, or one that it no longer has."""

    role: str
    title: str
    change: Literal["same", "changed", "added", "gone"]
    characters: int
    blocks: Sequence[Block]


class Part(NamedTuple):
    """A part of a request and its reply, in tokens."""

    title: str
    kind: Literal["system", "demonstration", "request", "reply"]
    tokens: float


def compare_prompts(
    before: Prompts, after: Prompts, demonstrations: int | None = None
) -> dict[str, list[Compared]]:
    """Message by message, for each predictor; the longer they are together, the more each is shortened."""
    names = list(after)[:_MOST_PROMPTS]
    many = sum(min(len(side.get(name, ())), MOST_MESSAGES) for side in (before, after) for name in names)
    most = min(_MOST_OF_A_MESSAGE, _MOST_OF_ALL // max(many, 1))
    plain = {name: before.get(name) or before.get(name.partition(" (member ")[0], ()) for name in names}
    found = {}
    for name in names:
        replies = sum(message["role"] == "assistant" for message in after[name])
        # One that has past turns is shown as several.
        word = "demonstration" if demonstrations in (None, replies) else "demonstrated turn"
        found[name] = list(_messages(plain[name], after[name], most, word))
    return found


def token_parts(lengths: Mapping[str, Any]) -> list[Part]:
    """What each part of a call takes; empty where nobody counted."""
    request, shown = lengths.get("request") or {}, lengths.get("demonstrations") or []
    parts: list[tuple[str, Any, float | None]] = [
        ("Instructions", "system", lengths.get("system")),
        *((f"Demonstration {number}", "demonstration", size) for number, size in enumerate(shown, 1)),
        ("Request", "request", request.get("mean")),
        ("Reply", "reply", lengths.get("reply")),
    ]
    known = [Part(title, kind, size) for title, kind, size in parts if size is not None]
    return known if len(known) == len(parts) else []


def _messages(
    before: Sequence[Message], after: Sequence[Message], most: int, word: str
) -> Iterator[Compared]:
    """First and last message are each other's counterparts; those between, where they are the same."""
    ends = [(0, 0), (len(before) - 1, len(after) - 1)] if before else []
    counterpart = {there: here for here, there in ends if here >= 0}
    middle = [_key(message) for message in before[1:-1]], [_key(message) for message in after[1:-1]]
    for match in difflib.SequenceMatcher(None, *middle, autojunk=False).get_matching_blocks():
        for offset in range(match.size):
            counterpart[match.b + offset + 1] = match.a + offset + 1
    shown = 0
    for index, message in enumerate(after):
        shown += message["role"] == "assistant"
        number = shown if message["role"] == "assistant" else shown + 1
        old = before[counterpart[index]]["content"] if index in counterpart else None
        yield _compared(message, old, _title(message, index, len(after), f"{word} {number}"), most)
    kept = set(counterpart.values())
    for index, message in enumerate(before):
        if index not in kept:
            text = plain(message["content"], most)
            blocks = [Block([Piece("gone", text)])]
            yield Compared(message["role"], "taken away", "gone", len(message["content"]), blocks)


def _key(message: Message) -> tuple[str, str]:
    return message["role"], message["content"]


def _title(message: Message, index: int, many: int, shown: str) -> str:
    if message["role"] == "system":
        return "instructions"
    if index == many - 1:
        return "the request, with a hole for each input"
    return shown


def _compared(message: Message, old: str | None, title: str, most: int) -> Compared:
    text, size = plain(message["content"], most), len(message["content"])
    if old is None:
        return Compared(message["role"], title, "added", size, [Block([Piece("added", text)])])
    if old == message["content"]:
        return Compared(message["role"], title, "same", size, [Block([Piece("same", text)])])
    blocks = list(_blocks(plain(old, most), text))
    return Compared(message["role"], title, "changed", size, blocks)


def _blocks(old: str, new: str) -> Iterator[Block]:
    a, b = old.splitlines(keepends=True), new.splitlines(keepends=True)
    if len(a) + len(b) > _MOST_COMPARED:
        yield Block(list(_pieces(old, new)))
        return
    for kind, i, i_end, j, j_end in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from _unchanged(b[j:j_end], at_start=j == 0, at_end=j_end == len(b))
        else:
            yield Block(list(_pieces("".join(a[i:i_end]), "".join(b[j:j_end]))))


def _unchanged(lines: Sequence[str], at_start: bool, at_end: bool) -> Iterator[Block]:
    """All of a few lines; of many only those that touch a change."""
    head = 0 if at_start else min(_AROUND, len(lines))
    tail = 0 if at_end else min(_AROUND, len(lines) - head)
    hidden = lines[head : len(lines) - tail]
    if len(hidden) <= _AROUND:
        yield Block([Piece("same", "".join(lines))])
        return
    if head:
        yield Block([Piece("same", "".join(lines[:head]))])
    yield Block([Piece("same", "".join(hidden))], folded=len(hidden))
    if tail:
        yield Block([Piece("same", "".join(lines[len(lines) - tail :]))])


def _pieces(old: str, new: str) -> Iterator[Piece]:
    a, b = re.findall(r"\S+\s*|\s+", old), re.findall(r"\S+\s*|\s+", new)
    if not a or not b or len(a) + len(b) > _MOST_COMPARED:
        yield from (piece for piece in (Piece("gone", old), Piece("added", new)) if piece.text)
        return
    for kind, i, i_end, j, j_end in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind == "equal":
            yield Piece("same", "".join(b[j:j_end]))
            continue
        gone, added = "".join(a[i:i_end]), "".join(b[j:j_end])
        yield from (piece for piece in (Piece("gone", gone), Piece("added", added)) if piece.text)
