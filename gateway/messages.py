"""A chat's messages, read: who said what, in their order.

Every message is read in full: what is no text is refused, and keys that nothing is done with are named.
Knows nothing of programs and their inputs.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any, NamedTuple

from gateway.errors import RequestInvalid

_ROLES = ("system", "developer", "user", "assistant")
_TOOL_ROLES = ("tool", "function")
_KNOWN = {
    "assistant": frozenset(
        # What a reply holds may come back as it was; only its text is read.
        ("role", "content", "refusal", "reasoning", "reasoning_content", "outputs", "annotations", "audio",
         "tool_calls", "function_call")
    )
}  # fmt: skip
_PLAIN = frozenset(("role", "content"))


class Turn(NamedTuple):
    """`role` is system, user or assistant; a developer's turn is a system's."""

    role: str
    text: str


class Dialogue(NamedTuple):
    """The turns, the user's last, and the names of keys that were left aside."""

    turns: list[Turn]
    dropped: list[str]


def read_messages(messages: Sequence[Any]) -> Dialogue:
    """What a request's messages say. Raises RequestInvalid."""
    if not messages:
        raise RequestInvalid("'messages' must hold at least one message.", param="messages")
    dropped: dict[str, None] = {}
    turns = [_read(message, f"messages[{at}]", dropped) for at, message in enumerate(messages)]
    if turns[-1].role != "user":
        why = "a program begins its own reply" if turns[-1].role == "assistant" else "it asks for something"
        raise RequestInvalid(
            f"The last message must be of role 'user', not {turns[-1].role!r}: {why}.",
            param=f"messages[{len(turns) - 1}].role",
            code="unsupported_role",
        )
    return Dialogue(turns, list(dropped))


def _read(message: Any, where: str, dropped: dict[str, None]) -> Turn:
    if not isinstance(message, dict):
        raise RequestInvalid(f"'{where}' must be an object with a role and a content.", param=where)
    role = message.get("role")
    if role in _TOOL_ROLES:
        raise RequestInvalid(
            f"'{where}' is of role {role!r}, but a compiled program calls no tools.",
            param=f"{where}.role",
            code="unsupported_role",
        )
    if role not in _ROLES:
        raise RequestInvalid(
            f"'{where}.role' must be one of {', '.join(_ROLES)}.", param=f"{where}.role", code="invalid_value"
        )
    _drop(message, _KNOWN.get(role, _PLAIN), "messages", dropped)
    if role == "assistant":
        return Turn(role, _said(message, where, dropped))
    return Turn("system" if role == "developer" else role, _text(message, where, dropped))


def _said(message: dict[str, Any], where: str, dropped: dict[str, None]) -> str:
    """An earlier reply; one that was refused says its refusal."""
    if message.get("tool_calls") or message.get("function_call"):
        raise RequestInvalid(
            f"'{where}' calls a tool, but a compiled program calls none.",
            param=where,
            code="unsupported_parameter",
        )
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
