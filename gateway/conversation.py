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
from programs.tool_calls import ToolFields
from programs.tools import Offer, ToolsUnusable, read_offer

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
    tools: ToolFields | None = None
    """The fields that take a request's tools and call them, for programs that declare tools."""
    known: frozenset[str] = field(init=False)
    required: tuple[str, ...] = field(init=False)
    required_texts: tuple[str, ...] = field(init=False)
    user: Field = field(init=False)

    def __post_init__(self) -> None:
        chat = self.chat
        given = ("history", "tools", "tool")  # in every request, at least an empty one
        needed = [f for f in self.fields if f.required and f.type not in given and f.name != chat.history]
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
            turns, dropped = read_messages(request.messages, with_tools=self.tools is not None)
            asked = max(at for at, turn in enumerate(turns) if turn.role == "user")
            found = self._from_json(turns, asked) or self._from_parts(turns, asked)
            found = found._replace(dropped=[*found.dropped, *dropped])
        found = found._replace(values=self.add_verses(self._with_tools(found.values, request.offer)))
        self._check_filled(found.values)
        return found

    def example(self) -> str:
        """A body fragment that shows the inputs to send."""
        shown = {name: "..." for name in self.required or sorted(self.known)}
        return '"inputs": ' + orjson.dumps(shown).decode()

    def _with_tools(self, values: dict[str, Any], offer: Offer | None) -> dict[str, Any]:
        """The values with the request's tools; without a word of them there are none."""
        if self.tools is None:
            return values
        name, kind = self.tools.tools.name, self.tools.tools.type
        if offer is not None and name in values:
            told = f"Tools are given twice: in 'tools', and as the input {name!r}."
            raise RequestInvalid(told, param=f"inputs.{name}", code="invalid_value")
        try:
            offer = offer or read_offer(values.get(name) or [])
        except ToolsUnusable as error:
            told = f"The input {name!r} {error}."
            raise RequestInvalid(told, param=f"inputs.{name}", code="invalid_value") from error
        if kind == "tool" and len(offer.tools) != 1:
            told = f"{self.program!r} takes one tool, and 'tools' holds {len(offer.tools)}."
            raise RequestInvalid(told, param="tools", code="missing_input")
        # Who may call nothing is best shown nothing.
        return {**values, name: Offer() if offer.most == 0 and kind == "tools" else offer}

    def _from_json(self, turns: Sequence[Turn], asked: int) -> Inputs | None:
        """Inputs written as JSON by the user; a program with one text never parses what it is given."""
        text = turns[asked].text
        if len(self.required_texts) < 2 or not text.lstrip().startswith("{"):
            return None
        try:
            values = orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        if not self.known.issuperset(values) or not set(self.required).issubset(values):
            return None
        _check_depth(values)
        others = turns[:asked]
        if asked + 1 < len(turns):
            # What tools gave for this question can't be left aside.
            values[self._taking_results()] = self._history([turns[asked], *turns[asked + 1 :]])
        return Inputs(values, _parts_of(others))

    def _from_parts(self, turns: Sequence[Turn], asked: int) -> Inputs:
        """The chat's parts. Where tools gave something for the last question, it is asked again after it."""
        values: dict[str, Any] = {}
        system = "\n\n".join(turn.text for turn in turns if turn.role == "system" and turn.text)
        answered = asked + 1 < len(turns)
        if answered:
            self._taking_results()
        earlier = [turn for turn in (turns if answered else turns[:asked]) if turn.role != "system"]
        dropped = []
        if system and self.chat.system:
            values[self.chat.system] = system
        elif system:
            dropped.append("messages.system")
        if earlier and self.chat.history:
            values[self.chat.history] = self._history(earlier)
        elif earlier:
            dropped.append("messages.history")
        if turns[asked].text.strip():
            values[self.user.name] = self._user_value(turns[asked].text)
        return Inputs(values, dropped)

    def _taking_results(self) -> str:
        """The input that what tools gave goes to."""
        if self.chat.history is None:
            raise RequestInvalid(
                f"{self.program!r} takes no earlier turns, so it can't be told what a tool gave.",
                param="messages",
                code="unsupported_role",
            )
        return self.chat.history

    def _history(self, turns: Sequence[Turn]) -> list[dict[str, Any]]:
        """Earlier turns under the names of the program's fields, one object per exchange or further step."""
        exchanges: list[dict[str, Any]] = []
        for turn in turns:
            if turn.role == "user":
                exchanges.append({self.chat.user: turn.text})
                continue
            said = self._said(turn)
            if exchanges and exchanges[-1].keys() == {self.chat.user}:
                exchanges[-1] |= said
            elif said:
                exchanges.append(said)
        return exchanges

    def _said(self, turn: Turn) -> dict[str, Any]:
        """An earlier reply as outputs: its text, and its calls with what they gave, in DSPy's own form."""
        calls = self.tools.calls.name if self.tools is not None else None
        text = {self.chat.answer: turn.text} if self.chat.answer != calls else {}
        if calls is None or not turn.calls:
            return text
        given = [
            {"call_id": None, "name": call.name, "value": turn.results[call.id], "is_error": False}
            for call in turn.calls
        ]
        made = [{"name": call.name, "args": call.args} for call in turn.calls]
        return {**(text if turn.text else {}), calls: {"tool_calls": made, "tool_call_results": given}}

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
