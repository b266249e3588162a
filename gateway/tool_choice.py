"""The tools of a request and how it wants them called, as chats and Responses have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.errors import RequestInvalid
from programs.tools import Offer, ToolsUnusable, read_offer


def offer_from(given: Mapping[str, Any]) -> Offer | None:
    """The tools in the fields of a request; None where it has none.

    Raises:
        RequestInvalid: a tool can't be used, or the choice names one that is not there.
    """
    choice = given.get("tool_choice", "auto")
    if "tools" not in given:
        if choice in ("auto", "none"):
            return None
        raise RequestInvalid("'tool_choice' is only allowed with 'tools'.", param="tool_choice")
    try:
        offer = read_offer(given["tools"])
    except ToolsUnusable as error:
        raise RequestInvalid(f"'tools' {error}.", param="tools", code="invalid_value") from error
    offer = _chosen(offer, choice)
    # A limit that is there already is lower.
    return (
        replace(offer, most=1) if given.get("parallel_tool_calls") is False and offer.most is None else offer
    )


def _chosen(offer: Offer, choice: Any) -> Offer:
    """The tools that may be called, and how often at least and at most."""
    match choice:
        case "auto":
            return offer
        case "none":
            return replace(offer, most=0)
        case "required":
            return replace(offer, fewest=1)
        case {"type": "function"}:
            return Offer(_named(offer, [choice]).tools, fewest=1)
        case {"type": "allowed_tools"}:
            allowed = choice.get("allowed_tools", choice)
            tools = allowed.get("tools") if isinstance(allowed, dict) else None
            if isinstance(tools, list) and allowed.get("mode") in ("auto", "required"):
                return replace(_named(offer, tools), fewest=int(allowed["mode"] == "required"))
    raise RequestInvalid(
        "'tool_choice' must name a function, as in {'type': 'function', 'function': {'name': ...}}, or be of "
        "type 'allowed_tools' with a mode and tools.",
        param="tool_choice",
        code="invalid_value",
    )


def _named(offer: Offer, choices: Sequence[Any]) -> Offer:
    names = [_name(choice) for choice in choices]
    known = [tool.name for tool in offer.tools]
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None or not names:
        raise RequestInvalid(
            f"'tool_choice' names {str(unknown)[:80]!r}, which is none of 'tools': {', '.join(known)[:400]}.",
            param="tool_choice",
            code="invalid_value",
        )
    return replace(offer, tools=tuple(tool for tool in offer.tools if tool.name in names))


def _name(choice: Any) -> Any:
    inner = choice.get("function", choice) if isinstance(choice, dict) else None
    return inner.get("name") if isinstance(inner, dict) else None
