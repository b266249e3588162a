"""A chat becomes a program's inputs.

In this order: the body's own `inputs`; a last user text that is a JSON object of inputs, for programs with
several required texts; else the chat's parts as the program maps them. What the program does not take is
named, never lost in silence. Knows nothing of models or HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from gateway.errors import RequestInvalid
from gateway.messages import Turn, read_messages
from gateway.protocol import ChatRequest
from programs.errors import ReplyUnparseable
from programs.plan import Field
from programs.program import Chat
from programs.reader import parse_value

_DEEPEST = 16  # levels of arrays and objects in `inputs`


class Inputs(NamedTuple):
    """Values for a run, and the names of what was dropped on the way."""

    values: dict[str, Any]
    dropped: list[str]


@dataclass(frozen=True)
class Conversation:
    """How one release takes chats; everything that does not change between requests is worked out once."""

    program: str
    chat: Chat
    fields: Sequence[Field]
    add_verses: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    """What adds the verses that a text refers to, for programs that take them."""
    known: frozenset[str] = field(init=False)
    required: tuple[str, ...] = field(init=False)
    required_texts: tuple[str, ...] = field(init=False)
    user: Field = field(init=False)

    def __post_init__(self) -> None:
        chat = self.chat
        needed = [f for f in self.fields if f.required and f.type != "history" and f.name != chat.history]
        derived = {
            "known": frozenset(f.name for f in self.fields),
            "required": tuple(f.name for f in needed),
            "required_texts": tuple(f.name for f in needed if f.type == "str"),
            "user": next(f for f in self.fields if f.name == chat.user),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def inputs(self, request: ChatRequest) -> Inputs:
        """The inputs in a request. Raises RequestInvalid."""
        if request.inputs is not None:
            found = Inputs(request.inputs, ["messages"] if request.messages else [])
            _check_depth(request.inputs)
            self._check_names(request.inputs)
        else:
            turns, dropped = read_messages(request.messages)
            found = self._from_json(turns) or self._from_parts(turns)
            found = found._replace(dropped=[*found.dropped, *dropped])
        found = found._replace(values=self.add_verses(found.values))
        self._check_filled(found.values)
        return found

    def example(self) -> str:
        """A body fragment that shows the inputs to send."""
        shown = {name: "..." for name in self.required or sorted(self.known)}
        return '"inputs": ' + orjson.dumps(shown).decode()

    def _from_json(self, turns: Sequence[Turn]) -> Inputs | None:
        """Inputs written as JSON by the user; a program with one text never parses what it is given."""
        text = turns[-1].text
        if len(self.required_texts) < 2 or not text.lstrip().startswith("{"):
            return None
        try:
            values = orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        if not self.known.issuperset(values) or not set(self.required).issubset(values):
            return None
        _check_depth(values)
        return Inputs(values, _parts_of(turns[:-1]))

    def _from_parts(self, turns: Sequence[Turn]) -> Inputs:
        values: dict[str, Any] = {}
        system = "\n\n".join(turn.text for turn in turns if turn.role == "system" and turn.text)
        earlier = [turn for turn in turns[:-1] if turn.role != "system"]
        dropped = []
        if system and self.chat.system:
            values[self.chat.system] = system
        elif system:
            dropped.append("messages.system")
        if earlier and self.chat.history:
            values[self.chat.history] = self._history(earlier)
        elif earlier:
            dropped.append("messages.history")
        if turns[-1].text.strip():
            values[self.user.name] = self._user_value(turns[-1].text)
        return Inputs(values, dropped)

    def _history(self, turns: Sequence[Turn]) -> list[dict[str, str]]:
        """Earlier turns under the names of the program's fields, one object per exchange."""
        exchanges: list[dict[str, str]] = []
        for turn in turns:
            if turn.role == "user":
                exchanges.append({self.chat.user: turn.text})
            elif exchanges and self.chat.answer not in exchanges[-1]:
                exchanges[-1][self.chat.answer] = turn.text
            else:
                exchanges.append({self.chat.answer: turn.text})
        return exchanges

    def _user_value(self, text: str) -> Any:
        try:
            return parse_value(self.user, text)
        except ReplyUnparseable as error:
            kind = " or ".join(map(repr, self.user.choices)) or self.user.type
            raise RequestInvalid(
                f"The last message is the input {self.user.name!r}, which must be {kind}.", param="messages"
            ) from error

    def _check_names(self, values: dict[str, Any]) -> None:
        for name in values:
            if name not in self.known:
                takes = ", ".join(f.name for f in self.fields)
                raise RequestInvalid(
                    f"Unknown input {name[:80]!r}: {self.program!r} takes {takes}.",
                    param=f"inputs.{name[:80]}",
                )

    def _check_filled(self, values: dict[str, Any]) -> None:
        for name in self.required:
            value = values.get(name)
            if value is None or (isinstance(value, str) and not value.strip()):
                state = "missing" if value is None else "empty"
                raise RequestInvalid(
                    f"Input {name!r} of {self.program!r} is {state}; it can be sent as {self.example()}.",
                    param=f"inputs.{name}",
                    code="missing_input",
                )


def _parts_of(turns: Sequence[Turn]) -> list[str]:
    names = ["messages.system" if turn.role == "system" else "messages.history" for turn in turns]
    return list(dict.fromkeys(names))


def _check_depth(value: Any) -> None:
    """Refuses nesting that could exhaust the stack of whoever walks it."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return
    raise RequestInvalid(f"'inputs' is nested deeper than {_DEEPEST} levels.", param="inputs")


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
