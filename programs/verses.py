"""Adds the verses that a user's text refers to, where a program has an input for them: `Chat.verses`.

This is part of making a chat into inputs, as the system text is, so a program with it is still one prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from programs.program import Chat
from programs.references import LONGEST_READ, Reference, read_references
from programs.scripture import Tables, open_tables

if TYPE_CHECKING:
    import dspy

AddVerses = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Inputs -> the inputs with verses."""


def verse_adder(chat: Chat, folder: Path | None = None) -> AddVerses:
    """What adds verses to the inputs of that chat, from the tables of `folder`; nothing where it wants none.

    Raises:
        DataInvalid: the tables are not there or can't be read.
    """
    return verse_adder_from(chat, partial(open_tables, folder))


def verse_adder_from(chat: Chat, open_them: Callable[[], Tables]) -> AddVerses:
    """The same, of tables that are opened only where they are needed, and may be shared."""
    if chat.verses is None:
        return dict
    tables = open_them()
    return lambda inputs: with_verses(inputs, chat, tables)


def with_verses(inputs: Mapping[str, Any], chat: Chat, tables: Tables) -> dict[str, Any]:
    """The inputs with the verses that the user's text refers to, else those that the last turn that does did.

    A verse that the given text already names is not added again.
    """
    into = chat.verses
    given = inputs.get(into) if into is not None else None
    if into is None or not (given is None or isinstance(given, str)):
        return dict(inputs)
    asked = _referred_to(inputs, chat)
    named = read_references(given) if given and asked else []
    wanted = [one for one in asked if not any(one.covers(other) or other.covers(one) for other in named)]
    if not wanted:
        return dict(inputs)
    found = tables.context(wanted)
    return {**inputs, into: f"{given}\n\n{found}" if given and given.strip() else found}


def examples_with_verses(
    examples: Sequence[dspy.Example], chat: Chat, folder: Path | None = None
) -> list[dspy.Example]:
    """Examples as requests will be: with the verses that their texts refer to."""
    if chat.verses is None:
        return list(examples)
    add = verse_adder(chat, folder)
    return [
        _with_input(example, chat.verses, add(dict(example.items())).get(chat.verses)) for example in examples
    ]


def _with_input(example: dspy.Example, name: str, value: Any) -> dspy.Example:
    if value is None or value == example.get(name):
        return example
    changed = example.copy(**{name: value})
    return changed.with_inputs(*example.inputs().keys(), name)


def _referred_to(inputs: Mapping[str, Any], chat: Chat) -> list[Reference]:
    """Of the newest text that refers to verses; all texts together are read up to a limit."""
    history = inputs.get(chat.history) if chat.history is not None else None
    turns = getattr(history, "messages", history)
    earlier = list(turns) if isinstance(turns, list | tuple) else []
    left = LONGEST_READ
    for turn in [inputs, *reversed(earlier)]:
        text = turn.get(chat.user) if isinstance(turn, Mapping) else None
        if not isinstance(text, str):
            continue
        if found := read_references(text[:left]):
            return found
        left -= len(text)
        if left <= 0:
            break
    return []
