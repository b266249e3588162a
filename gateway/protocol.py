"""OpenAI's chat protocol as this gateway speaks it: the request it reads, the bodies it writes.

Request bodies are checked by the policy table instead of by a model class: a served program needs the table
anyway, and on the hot path it is many times cheaper. Knows nothing of releases or engines.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from engine.chat import Usage
from gateway.errors import RequestInvalid
from gateway.policy import FIELDS, UNKNOWN, FieldPolicy, asks_for_something
from gateway.response_format import JsonFormat, read_response_format
from gateway.tool_choice import offer_from
from programs.json_values import write_json
from programs.tools import Offer

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_NAMED = 32


@dataclass(slots=True)
class ChatRequest:
    """What a client asked for, checked field by field; `ignored` names what is left aside."""

    model: str
    messages: list[Any]
    inputs: dict[str, Any] | None = None
    stream: bool = False
    include_usage: bool = False
    n: int = 1
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    format: JsonFormat | None = None
    """None is plain text: the answer itself."""
    offer: Offer | None = None
    """The tools that the client runs; None where the request has none."""
    may_be_kept: bool = True
    """Whether the client has nothing against a log of its request: `store` is not `false`."""
    upstream: dict[str, Any] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)


class TokenCounts(NamedTuple):
    """Tokens of one or several calls.

    `cached` of the prompt were in the engine's cache, `reasoning` of the completion were the model's own
    thinking; each is None where the engine does not say.
    """

    prompt: int
    completion: int
    cached: int | None = None
    reasoning: int | None = None

    @classmethod
    def of(cls, usage: Usage) -> TokenCounts:
        return cls(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens)

    def __add__(self, other: object) -> TokenCounts:
        if not isinstance(other, TokenCounts):
            return NotImplemented
        return TokenCounts(
            self.prompt + other.prompt,
            self.completion + other.completion,
            _known_sum(self.cached, other.cached),
            _known_sum(self.reasoning, other.reasoning),
        )

    def as_dict(self) -> dict[str, Any]:
        usage: dict[str, Any] = {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        }
        if self.cached is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": self.cached}
        if self.reasoning is not None:
            usage["completion_tokens_details"] = {"reasoning_tokens": self.reasoning}
        return usage


def _known_sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else other + (one or 0)


def read_object(data: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises RequestInvalid."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise RequestInvalid(f"The body is no JSON: {error}.") from error
    if not isinstance(body, dict):
        raise RequestInvalid(f"The body must be a JSON object, not {_json_type(body)}.")
    return body


def request_from(
    body: Mapping[str, Any], largest_messages: int, fields: Mapping[str, FieldPolicy] = FIELDS
) -> ChatRequest:
    """What a chat's body asks for; `fields` are the policies of the program that is asked.

    Raises:
        RequestInvalid: a field of the wrong type or out of range, or one that is refused.
    """
    given, ignored = apply_policy(body, fields)
    request = ChatRequest(_required(given, "model"), given.get("messages", []), ignored=ignored)
    request.inputs = given.get("inputs")
    request.may_be_kept = body.get("store") is not False
    if request.inputs is None:
        _required(given, "messages")
    if len(request.messages) > largest_messages:
        raise RequestInvalid(f"'messages' may hold at most {largest_messages} messages.", param="messages")
    request.stream = given.get("stream", False)
    request.n = given.get("n", 1)
    _read_stream_options(request, given.get("stream_options"))
    limits = [given[name] for name in ("max_tokens", "max_completion_tokens") if name in given]
    request.max_tokens = min(limits) if limits else None
    stop = given.get("stop", ())
    request.stop = (stop,) if isinstance(stop, str) else tuple(stop)
    if "response_format" in given:
        request.format = read_response_format(given["response_format"])
    if request.format is not None and request.stop:
        raise RequestInvalid(
            "'stop' would cut an answer that 'response_format' wants as JSON; leave one of them out.",
            param="stop",
            code="unsupported_parameter",
        )
    request.offer = offer_from(given)
    request.upstream = {name: value for name, value in given.items() if fields[name].upstream}
    return request


def apply_policy(
    body: Mapping[str, Any], fields: Mapping[str, FieldPolicy] = FIELDS
) -> tuple[dict[str, Any], list[str]]:
    """Splits a body by a policy table into fields to apply and names of fields to ignore."""
    given: dict[str, Any] = {}
    ignored: list[str] = []
    for name, value in body.items():
        policy = fields.get(name, UNKNOWN)
        if not asks_for_something(policy, value):
            continue
        if policy.treatment == "ignore":
            ignored.append(name)
            continue
        if policy.treatment == "refuse":
            raise RequestInvalid(
                f"{name!r} is not supported here: {policy.note}.", param=name, code="unsupported_parameter"
            )
        problem = policy.check(value) if policy.check else None
        if problem:
            raise RequestInvalid(
                f"{name!r} {problem}, not {_shown(value)}.", param=name, code="invalid_value"
            )
        given[name] = value
    return given, ignored


def _required(given: Mapping[str, Any], name: str) -> Any:
    if name not in given:
        raise RequestInvalid(f"{name!r} is missing.", param=name, code="missing_required_parameter")
    return given[name]


def _read_stream_options(request: ChatRequest, options: Mapping[str, Any] | None) -> None:
    if not options:
        return
    if not request.stream:
        raise RequestInvalid(
            "'stream_options' belongs to a stream: send 'stream': true, or leave it out.",
            param="stream_options",
            code="invalid_value",
        )
    for name, value in options.items():
        if value is not None and not isinstance(value, bool):
            raise RequestInvalid(
                f"{name[:40]!r} must be true or false.", param="stream_options", code="invalid_value"
            )
    request.include_usage = bool(options.get("include_usage"))
    others = (name for name, value in options.items() if value and name != "include_usage")
    request.ignored += [f"stream_options.{name[:40]}" for name in others]


def header_names(names: list[str]) -> bytes:
    """Names as a header's value; clients choose names, so what is no plain word is not repeated."""
    plain = [name if _PLAIN_NAME.fullmatch(name) else "?" for name in names[:_MOST_NAMED]]
    return ", ".join(dict.fromkeys(plain)).encode()


def new_id(prefix: str) -> str:
    """A request's own name; `prefix` is OpenAI's word for its kind."""
    return prefix + os.urandom(12).hex()


def answer_text(value: Any) -> str:
    """An output as the text of a message: a text as it is, other types as JSON."""
    return value if isinstance(value, str) else write_json(value).decode()


def _json_type(value: object) -> str:
    names = {list: "an array", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
