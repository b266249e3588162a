"""OpenAI's Responses as this gateway writes them: the response object, whole or at the end of its events."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.completion import Call, content_of, finish_reason, reasoning_of
from gateway.protocol import TokenCounts
from gateway.responses_request import Repeated
from gateway.tool_calls import call_item, calls_made
from programs.execution import Outcome

Status = Literal["in_progress", "completed", "incomplete", "failed"]
Item = dict[str, Any]

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
# What is the same in every response of a gateway that stores nothing and runs no tools.
_ALWAYS: Mapping[str, Any] = {
    "background": False,
    "max_tool_calls": None,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": None,
    "store": False,
    "top_logprobs": 0,
    "truncation": "disabled",
}


@dataclass(frozen=True)
class ResponseObject:
    """Writes the responses to one call."""

    call: Call
    repeated: Repeated
    constant: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        repeated, calls = self.repeated, self.call.runnable.tools is not None
        constant = {
            "id": self.call.id,
            "object": "response",
            "created_at": self.call.created,
            "model": self.call.runnable.release,
            **_ALWAYS,
            "instructions": repeated.instructions,
            "max_output_tokens": repeated.max_output_tokens,
            "metadata": repeated.metadata,
            "parallel_tool_calls": calls and repeated.parallel_tool_calls is not False,
            "temperature": repeated.temperature,
            "text": {"format": repeated.format},
            "tool_choice": repeated.tool_choice or ("auto" if calls else "none"),
            "tools": repeated.tools,
            "top_p": repeated.top_p,
        }
        object.__setattr__(self, "constant", constant)

    def begun(self) -> dict[str, Any]:
        return self._object("in_progress", [])

    def ended(self, outcome: Outcome, output: Sequence[Item]) -> dict[str, Any]:
        status = status_of(outcome)
        reason = _INCOMPLETE.get(finish_reason(outcome))
        tokens = self.call.student.tokens
        return {
            **self._object(status, output),
            "completed_at": int(time.time()) if status == "completed" else None,
            "incomplete_details": None if reason is None else {"reason": reason},
            "usage": None if tokens is None else _usage(tokens),
            "smallforge": self.call.about(),
        }

    def failed(self, code: str, message: str) -> dict[str, Any]:
        error = {"code": code, "message": message}
        return {**self._object("failed", []), "error": error, "smallforge": self.call.about()}

    def whole(self, outcome: Outcome) -> dict[str, Any]:
        """The response of a call that was not streamed."""
        call = self.call
        chat = call.runnable.executor.chat
        reasoning = reasoning_of(outcome, chat)
        output = [] if reasoning is None else [reasoning_item(item_id("rs", call), reasoning)]
        text, calls = content_of(outcome, call), calls_made(call.runnable.tools, outcome)
        if text or not calls:
            output.append(message_item(item_id("msg", call), text, outcome))
        output += [call_item(made, item_id("fc", call, number)) for number, made in enumerate(calls)]
        return self.ended(outcome, output)

    def _object(self, status: Status, output: Sequence[Item]) -> dict[str, Any]:
        return {
            **self.constant,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "output": output,
            "usage": None,
        }


def item_id(prefix: str, call: Call, number: int = 0) -> str:
    """Items are named after their response; a second one of its kind gets a number."""
    named = call.id.replace("resp", prefix, 1)
    return f"{named}_{number}" if number else named


def status_of(outcome: Outcome) -> Status:
    return "incomplete" if finish_reason(outcome) in _INCOMPLETE else "completed"


def text_part(text: str) -> Item:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message_item(id: str, text: str, outcome: Outcome) -> Item:
    """The answer; all outputs of the program stand beside its text."""
    return {
        "id": id,
        "type": "message",
        "role": "assistant",
        "status": status_of(outcome),
        "content": [text_part(text)],
        "outputs": dict(outcome.outputs),
    }


def reasoning_item(id: str, text: str) -> Item:
    """The reasoning fields; no part of them is kept back, so their summary is all of them."""
    return {
        "id": id,
        "type": "reasoning",
        "status": "completed",
        "summary": [{"type": "summary_text", "text": text}],
    }


def _usage(tokens: TokenCounts) -> dict[str, Any]:
    """In Responses each of these is a number: what the engine does not tell stands as 0."""
    return {
        "input_tokens": tokens.prompt,
        "input_tokens_details": {"cached_tokens": tokens.cached or 0, "cache_write_tokens": 0},
        "output_tokens": tokens.completion,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning or 0},
        "total_tokens": tokens.prompt + tokens.completion,
    }
