"""A Responses request becomes the chat request that asks for the same; `responses` writes the reply.

What only a Responses reply repeats is kept beside it. Nothing is stored between requests, so `input` has to
hold all that was said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import GatewayError, RequestInvalid
from gateway.policy import FIELDS, FIELDS_WITH_TOOLS
from gateway.protocol import ChatRequest, apply_policy, request_from
from gateway.responses_policy import ALSO_TAKEN, RESPONSES, RESPONSES_WITH_TOOLS

_FIELDS = {**RESPONSES, **ALSO_TAKEN}
_FIELDS_WITH_TOOLS = {**RESPONSES_WITH_TOOLS, **ALSO_TAKEN}
_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")
_SAME_IN_A_CHAT = ("model", "stream", "temperature", "top_p", *_TOOLS, *ALSO_TAKEN)
_ROLES = ("system", "developer", "user", "assistant")
_TEXT_PARTS = {"input_text": "text", "output_text": "text", "refusal": "refusal"}


@dataclass(frozen=True)
class Repeated:
    """What a reply repeats of its request."""

    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    format: Mapping[str, Any] = field(default_factory=lambda: {"type": "text"})
    metadata: Mapping[str, str] = field(default_factory=dict)
    tools: Sequence[Any] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    parallel_tool_calls: bool | None = None


def read_responses_request(
    body: Mapping[str, Any], largest_messages: int, *, with_tools: bool = False
) -> tuple[ChatRequest, Repeated]:
    """The request in a body; `with_tools` where the program that is asked declares tools.

    Raises:
        RequestInvalid: a field of the wrong type or out of range, or one that is refused.
    """
    given, ignored = apply_policy(body, _FIELDS_WITH_TOOLS if with_tools else _FIELDS)
    chat = {name: given[name] for name in _SAME_IN_A_CHAT if name in given}
    chat["messages"] = _messages(given, largest_messages, with_tools)
    if "max_output_tokens" in given:
        chat["max_completion_tokens"] = given["max_output_tokens"]
    text = given.get("text", {})
    if text.get("verbosity") is not None:
        ignored.append("text.verbosity")
    wanted = text.get("format") or {"type": "text"}
    chat["response_format"] = _response_format(wanted)
    try:
        fields = FIELDS_WITH_TOOLS if with_tools else FIELDS
        request = request_from(chat, largest_messages + 1, fields)
    except RequestInvalid as error:
        raise in_responses_words(error) from error
    request.ignored += ignored
    request.may_be_kept = body.get("store") is not False
    repeated = {name: given[name] for name in Repeated.__dataclass_fields__ if name in given}
    return request, Repeated(**{**repeated, "format": wanted})


def in_responses_words(error: GatewayError) -> GatewayError:
    """An error that names a chat's field by that of a Responses request."""
    for chats, ours in (("response_format", "text.format"), ("messages", "input")):
        error.message = error.message.replace(f"'{chats}", f"'{ours}")
        if error.param is not None and error.param.split("[")[0].split(".")[0] == chats:
            error.param = error.param.replace(chats, ours, 1)
    return error


def _response_format(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """A chat has name and schema one level deeper."""
    if wanted.get("type") != "json_schema":
        return wanted
    return {"type": "json_schema", "json_schema": {k: v for k, v in wanted.items() if k != "type"}}


def _messages(given: Mapping[str, Any], largest: int, with_tools: bool) -> list[dict[str, Any]]:
    said = given.get("input")
    messages = [] if not said else _from_input(said, largest, with_tools)
    if not messages and "inputs" not in given:
        raise RequestInvalid(
            "'input' must be a text or hold at least one message.",
            param="input",
            code="missing_required_parameter",
        )
    if messages and messages[-1]["role"] not in ("user", "tool"):
        raise RequestInvalid(
            f"The last message of 'input' must be of role 'user', not {messages[-1]['role']!r}.",
            param="input",
        )
    instructions = given.get("instructions")
    return [{"role": "system", "content": instructions}, *messages] if instructions else messages


def _from_input(said: str | Sequence[Any], largest: int, with_tools: bool) -> list[dict[str, Any]]:
    if isinstance(said, str):
        return [{"role": "user", "content": said}]
    if len(said) > largest:
        raise RequestInvalid(f"'input' may hold at most {largest} items.", param="input")
    messages: list[dict[str, Any]] = []
    for position, item in enumerate(said):
        message = _item(item, f"input[{position}]", with_tools)
        if message is None:
            continue
        calls = message.get("tool_calls")
        if calls and messages and messages[-1]["role"] == "assistant":
            # A chat has the calls of one reply in one message, with its text.
            messages[-1].setdefault("tool_calls", []).extend(calls)
        else:
            messages.append(message)
    return messages


def _item(item: Any, where: str, with_tools: bool) -> dict[str, Any] | None:
    """One message; None for an earlier reply's reasoning, which no program reads."""
    if not isinstance(item, dict):
        raise RequestInvalid(f"'{where}' must be an object with a role and a content.", param=where)
    kind = item.get("type") or "message"
    if kind == "reasoning":
        return None
    if kind == "item_reference":
        raise RequestInvalid(
            f"'{where}' refers to a stored item, and nothing is stored here; send the message itself.",
            param=where,
            code="unsupported_parameter",
        )
    if with_tools and kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments")}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if with_tools and kind == "function_call_output":
        output = _content(item.get("output"), f"{where}.output")
        return {"role": "tool", "tool_call_id": item.get("call_id"), "content": output}
    if kind != "message":
        read = "and calls of functions" if with_tools else "and calls no tools"
        raise RequestInvalid(
            f"'{where}' is of type {str(kind)[:40]!r}; this program reads messages {read}.",
            param=where,
            code="unsupported_content",
        )
    role = item.get("role")
    if role not in _ROLES:
        raise RequestInvalid(f"'{where}.role' must be one of {', '.join(_ROLES)}.", param=f"{where}.role")
    return {"role": role, "content": _content(item.get("content"), f"{where}.content")}


def _content(content: Any, where: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise RequestInvalid(f"'{where}' must be a text or an array of text parts.", param=where)
    texts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        text = part.get(_TEXT_PARTS.get(kind, "")) if isinstance(kind, str) else None
        if not isinstance(text, str):
            raise RequestInvalid(
                f"'{where}' has a part of type {str(kind)[:40]!r}; programs read text parts only.",
                param=where,
                code="unsupported_content",
            )
        texts.append(text)
    return "".join(texts)
