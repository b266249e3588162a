"""A chat's messages, read: who said what, in their order.

Every message is read in full: what is no text is refused, and keys that nothing is done with are named. Knows
nothing of programs and their inputs, but that some call tools and the others read nothing of such.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.errors import RequestInvalid
from programs.json_values import JsonUnusable, read_json

_ROLES = ("system", "developer", "user", "assistant")
_TOOL_ROLES = ("tool", "function")
_KNOWN = {
    "assistant": frozenset(
        # What a reply holds may come back as it was; only its text and its calls are read.
        ("role", "content", "refusal", "reasoning", "reasoning_content", "outputs", "annotations", "audio",
         "tool_calls", "function_call")
    ),
    "tool": frozenset(("role", "content", "tool_call_id", "name")),
}  # fmt: skip
_PLAIN = frozenset(("role", "content"))


class PastCall(NamedTuple):
    """A call of a tool that an earlier reply made."""

    id: str
    name: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Turn:
    """`role` is system, user or assistant; a developer's turn is a system's.

    `results` are what tools gave that the turn calls, by the ids of its calls.
    """

    role: str
    text: str
    calls: tuple[PastCall, ...] = ()
    results: dict[str, str] = field(default_factory=dict)


class Dialogue(NamedTuple):
    """The turns, and the names of keys that were left aside. The last is a user's, or called tools that gave
    their results."""

    turns: list[Turn]
    dropped: list[str]


def read_messages(messages: Sequence[Any], *, with_tools: bool = False) -> Dialogue:
    """What a request's messages say. Raises RequestInvalid."""
    if not messages:
        raise RequestInvalid("'messages' must hold at least one message.", param="messages")
    dropped: dict[str, None] = {}
    turns: list[Turn] = []
    for at, message in enumerate(messages):
        where = f"messages[{at}]"
        role = _role(message, where, with_tools)
        if role != "tool":
            _refuse_unanswered(turns, where)
        _drop(message, _KNOWN.get(role, _PLAIN), "messages", dropped)
        if role == "tool":
            _take_result(turns, message, where, dropped)
        elif role == "assistant":
            calls = _calls(message, where, with_tools)
            turns.append(Turn(role, _said(message, where, dropped), calls))
        else:
            text = _text(message, where, dropped)
            turns.append(Turn("system" if role == "developer" else role, text))
    _refuse_unanswered(turns, "messages")
    _refuse_ending(turns, len(messages) - 1)
    return Dialogue(turns, list(dropped))


def _role(message: Any, where: str, with_tools: bool) -> str:
    if not isinstance(message, dict):
        raise RequestInvalid(f"'{where}' must be an object with a role and a content.", param=where)
    role = message.get("role")
    if role == "function" and with_tools:
        raise RequestInvalid(
            f"'{where}' is of role 'function'; what a tool gave is of role 'tool' here.",
            param=f"{where}.role",
            code="unsupported_role",
        )
    if role in _TOOL_ROLES and not with_tools:
        raise RequestInvalid(
            f"'{where}' is of role {role!r}, but this program calls no tools.",
            param=f"{where}.role",
            code="unsupported_role",
        )
    if role not in _ROLES and role != "tool":
        raise RequestInvalid(
            f"'{where}.role' must be one of {', '.join(_ROLES)}.", param=f"{where}.role", code="invalid_value"
        )
    return str(role)


def _refuse_ending(turns: Sequence[Turn], last: int) -> None:
    ending = turns[-1]
    if ending.role == "user" or ending.results:
        if any(turn.role == "user" for turn in turns):
            return
        raise RequestInvalid("'messages' must hold at least one message of role 'user'.", param="messages")
    why = "a program begins its own reply" if ending.role == "assistant" else "it asks for something"
    raise RequestInvalid(
        f"The last message must be of role 'user', not {ending.role!r}: {why}.",
        param=f"messages[{last}].role",
        code="unsupported_role",
    )


def _calls(message: dict[str, Any], where: str, with_tools: bool) -> tuple[PastCall, ...]:
    """The tools that an earlier reply calls."""
    if message.get("function_call") or (message.get("tool_calls") and not with_tools):
        told = "functions are called by 'tool_calls' here" if with_tools else "this program calls none"
        raise RequestInvalid(
            f"'{where}' calls a tool, but {told}.", param=where, code="unsupported_parameter"
        )
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise RequestInvalid(f"'{where}.tool_calls' must be an array.", param=f"{where}.tool_calls")
    return tuple(_call(call, f"{where}.tool_calls[{at}]") for at, call in enumerate(calls))


def _call(call: Any, where: str) -> PastCall:
    function = call.get("function") if isinstance(call, dict) else None
    id, name, text = (
        (call.get("id"), function.get("name"), function.get("arguments"))
        if isinstance(function, dict)
        else (None, None, None)
    )
    try:
        args = read_json(text.encode()) if isinstance(text, str) else None
    except (JsonUnusable, UnicodeEncodeError):
        args = None
    if not isinstance(id, str) or not isinstance(name, str) or not isinstance(args, dict):
        raise RequestInvalid(
            f"'{where}' must have an id and a function with a name and arguments, a JSON object as text.",
            param=where,
            code="invalid_value",
        )
    return PastCall(id, name, args)


def _take_result(
    turns: Sequence[Turn], message: dict[str, Any], where: str, dropped: dict[str, None]
) -> None:
    """Puts what a tool gave to the call that it answers."""
    id, text = message.get("tool_call_id"), _text(message, where, dropped)
    calls = turns[-1].calls if turns else ()
    if not any(call.id == id for call in calls) or id in turns[-1].results:
        raise RequestInvalid(
            f"'{where}' is of role 'tool', but its 'tool_call_id' is that of no open call in the message "
            "before it.",
            param=f"{where}.tool_call_id",
            code="invalid_value",
        )
    turns[-1].results[str(id)] = text


def _refuse_unanswered(turns: Sequence[Turn], where: str) -> None:
    """A call without its result can't be gone on from."""
    if not turns:
        return
    missing = [call.id for call in turns[-1].calls if call.id not in turns[-1].results]
    if missing:
        raise RequestInvalid(
            f"Before '{where}' ends or goes on, messages of role 'tool' must answer the calls "
            f"{', '.join(missing)[:400]}.",
            param="messages",
            code="invalid_value",
        )


def _said(message: dict[str, Any], where: str, dropped: dict[str, None]) -> str:
    """An earlier reply; one that was refused says its refusal."""
    if message.get("audio"):
        raise RequestInvalid(
            f"'{where}' is audio; programs read text only.",
            param=f"{where}.audio",
            code="unsupported_content",
        )
    refusal = message.get("refusal")
    if message.get("content") in (None, "", []):
        return refusal if isinstance(refusal, str) else ""
    return _text(message, where, dropped)


def _text(message: dict[str, Any], where: str, dropped: dict[str, None]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise RequestInvalid(
            f"'{where}.content' must be a text or an array of text parts.", param=f"{where}.content"
        )
    kinds = ("text", "refusal") if message["role"] == "assistant" else ("text",)
    return "".join(_part(part, kinds, f"{where}.content", dropped) for part in content)


def _part(part: Any, kinds: Sequence[str], where: str, dropped: dict[str, None]) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    text = part.get(kind) if kind in kinds else None
    if not isinstance(text, str):
        raise RequestInvalid(
            f"'{where}' has a part of type {str(kind)[:40]!r}; programs read text parts only.",
            param=where,
            code="unsupported_content",
        )
    _drop(part, ("type", str(kind)), "messages.content", dropped)
    return text


def _drop(given: dict[str, Any], known: Container[str], where: str, dropped: dict[str, None]) -> None:
    """Names the keys that nothing is done with; those without a value ask for nothing."""
    dropped.update(
        (f"{where}.{key[:40]}", None) for key, value in given.items() if key not in known and value
    )
