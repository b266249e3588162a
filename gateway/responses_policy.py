"""What a compiled program does with every field of a Responses request, and which of a chat's it also takes.

The treatments are those of `policy`: what means the same as a field of a chat is treated as that field is.
"""

from __future__ import annotations

from typing import Any

from gateway.policy import OPENAI as CHAT
from gateway.policy import OURS, TOOLS, VLLM, FieldPolicy

_NOT_STORED = "nothing is stored here; send the earlier turns as `input`"
_COMPILED = "the prompt is compiled into the release"


def _input(value: Any) -> str | None:
    return None if isinstance(value, str | list) else "must be a text or an array of messages"


def _instructions(value: Any) -> str | None:
    return None if isinstance(value, str) else "must be a text"


def _text(value: Any) -> str | None:
    fits = isinstance(value, dict) and isinstance(value.get("format", {}), dict | None)
    return None if fits else "must be an object, and its 'format' too"


def _metadata(value: Any) -> str | None:
    fits = isinstance(value, dict) and len(value) <= 16
    fits = fits and all(isinstance(told, str) and len(told) <= 512 for told in value.values())
    return None if fits else "must be an object of up to 16 texts of up to 512 characters"


RESPONSES: dict[str, FieldPolicy] = {
    "model": CHAT["model"],
    "input": FieldPolicy("apply", "a text or a list of messages; becomes the program's inputs", _input),
    "instructions": FieldPolicy("apply", "as a system message before the others", _instructions),
    "stream": FieldPolicy("apply", "the answer as typed events", CHAT["stream"].check),
    "temperature": CHAT["temperature"],
    "top_p": CHAT["top_p"],
    "max_output_tokens": FieldPolicy(
        "apply", CHAT["max_completion_tokens"].note, CHAT["max_completion_tokens"].check
    ),
    "text": FieldPolicy("apply", "`format` as a chat's `response_format`; `verbosity` is ignored", _text),
    "metadata": FieldPolicy("apply", "comes back in the reply; nothing of it is kept", _metadata),
    "store": FieldPolicy(
        "refuse",
        "nothing can be fetched again; `false` keeps it out of the traffic log",
        neutral=(False,),
    ),
    "previous_response_id": FieldPolicy("refuse", _NOT_STORED),
    "conversation": FieldPolicy("refuse", _NOT_STORED),
    "background": FieldPolicy("refuse", "an answer is given at once or streamed", neutral=(False,)),
    "prompt": FieldPolicy("refuse", _COMPILED),
    "tools": CHAT["tools"],
    "tool_choice": CHAT["tool_choice"],
    "top_logprobs": CHAT["top_logprobs"],
    "max_tool_calls": CHAT["parallel_tool_calls"],
    "parallel_tool_calls": CHAT["parallel_tool_calls"],
    "reasoning": FieldPolicy(
        "ignore", "how a program reasons is compiled into it; its summary always comes", neutral=({},)
    ),
    "include": FieldPolicy("ignore", "there is nothing more to include", neutral=([],)),
    "truncation": FieldPolicy("ignore", "the prompt is never cut in silence", neutral=("disabled",)),
    "context_management": FieldPolicy("ignore", "requests are independent", neutral=([],)),
    "stream_options": FieldPolicy(
        "ignore",
        "usage and cost always come with the last event",
        neutral=({}, {"include_obfuscation": False}),
    ),
    "moderation": CHAT["moderation"],
    "service_tier": CHAT["service_tier"],
    "prompt_cache_key": CHAT["prompt_cache_key"],
    "prompt_cache_options": CHAT["prompt_cache_options"],
    "prompt_cache_retention": CHAT["prompt_cache_retention"],
    "safety_identifier": CHAT["safety_identifier"],
    "user": CHAT["user"],
}

RESPONSES_WITH_TOOLS: dict[str, FieldPolicy] = {
    **RESPONSES,
    **{name: TOOLS[name] for name in ("tools", "tool_choice", "parallel_tool_calls")},
    "max_tool_calls": FieldPolicy("ignore", "counts tools that a server runs"),
}
"""The same of programs that declare tools."""

ALSO_TAKEN: dict[str, FieldPolicy] = {"seed": CHAT["seed"], "stop": CHAT["stop"], **VLLM, **OURS}
"""Fields of a chat that OpenAI's Responses do not have."""
