"""What a compiled program does with every field of an OpenAI or vLLM chat request: one table, nothing left
silent.

A program's prompt, sampling and output format were measured together. A field is applied where it leaves
that meaning alone, refused where the client would get something else than it asked for, and otherwise
ignored and reported. A field set to None, or to the value that asks for nothing, is as good as absent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Treatment = Literal["apply", "refuse", "ignore"]
Check = Callable[[Any], str | None]
"""Says what a value must be, or None if it is."""


@dataclass(frozen=True)
class FieldPolicy:
    """`upstream` fields go to the engine as they are; `neutral` values ask for nothing."""

    treatment: Treatment
    note: str
    check: Check | None = None
    upstream: bool = False
    neutral: tuple[object, ...] = ()


def _number(low: float, high: float) -> Check:
    def check(value: Any) -> str | None:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        return None if fits else f"must be a number from {low:g} to {high:g}"

    return check


def _integer(low: int, high: int) -> Check:
    def check(value: Any) -> str | None:
        fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if fits else f"must be an integer from {low} to {high}"

    return check


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "must be a text"


def _array(value: Any) -> str | None:
    return None if isinstance(value, list) else "must be an array"


def _object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "must be an object"


def _stop(value: Any) -> str | None:
    stops = [value] if isinstance(value, str) else value
    fits = isinstance(stops, list) and len(stops) <= 4
    fits = fits and all(isinstance(stop, str) and 0 < len(stop) <= 256 for stop in stops)
    return None if fits else "must be a text or up to 4 texts of 1 to 256 characters"


def _format(value: Any) -> str | None:
    fits = isinstance(value, dict) and value.get("type") in ("text", "json_object", "json_schema")
    return None if fits else "must be an object with the type 'text', 'json_object' or 'json_schema'"


def _choice(value: Any) -> str | None:
    fits = value in ("none", "auto", "required") if isinstance(value, str) else isinstance(value, dict)
    return None if fits else "must be 'none', 'auto', 'required' or an object that names functions"


_TOKENS = _integer(1, 2**31 - 1)
MOST_ANSWERS = 8
_OWN_FORMAT = "the program writes in its own format; `response_format` gives its outputs as JSON"
_NO_TOOLS = "this program calls no tools"
_TEXT_ONLY = "programs read and write text"
_MEASURED = "it would change the text the program was measured with"
_NO_EFFECT = "has no meaning for a compiled program"

OPENAI: dict[str, FieldPolicy] = {
    "model": FieldPolicy(
        "apply", "names the release: `gsm8k`, `gsm8k@candidate`, `gsm8k@1f3a9c2b7d4e`", _text
    ),
    "messages": FieldPolicy("apply", "become the program's inputs", _array),
    "stream": FieldPolicy("apply", "the answer as server-sent events", _flag),
    "stream_options": FieldPolicy("apply", "`include_usage` sends a last chunk with usage and cost", _object),
    "temperature": FieldPolicy("apply", "instead of the release's own", _number(0, 2), upstream=True),
    "top_p": FieldPolicy("apply", "instead of the release's own", _number(0, 1), upstream=True),
    "seed": FieldPolicy(
        "apply", "instead of the release's own", _integer(-(2**63), 2**63 - 1), upstream=True
    ),
    "max_tokens": FieldPolicy("apply", "as `max_completion_tokens`", _TOKENS),
    "max_completion_tokens": FieldPolicy(
        "apply",
        "an upper bound on the tokens of all the program's steps together; never raises the release's own",
        _TOKENS,
    ),
    "stop": FieldPolicy(
        "apply", "cuts the answer; outputs in `message.outputs` stay whole", _stop, neutral=([],)
    ),
    "n": FieldPolicy(
        "apply",
        "that many runs at the same time, each with a seed of its own",
        _integer(1, MOST_ANSWERS),
        neutral=(1,),
    ),
    "logprobs": FieldPolicy(
        "refuse", "token probabilities of the raw reply say nothing of its fields", neutral=(False,)
    ),
    "top_logprobs": FieldPolicy("refuse", "as `logprobs`", neutral=(0,)),
    "response_format": FieldPolicy(
        "apply",
        "the outputs as a JSON object, checked against a schema where there is one",
        _format,
        neutral=({"type": "text"},),
    ),
    "tools": FieldPolicy("refuse", _NO_TOOLS, neutral=([],)),
    "tool_choice": FieldPolicy("refuse", _NO_TOOLS, neutral=("none", "auto")),
    "functions": FieldPolicy("refuse", _NO_TOOLS, neutral=([],)),
    "function_call": FieldPolicy("refuse", _NO_TOOLS, neutral=("none", "auto")),
    "modalities": FieldPolicy("refuse", _TEXT_ONLY, neutral=(["text"], [])),
    "audio": FieldPolicy("refuse", _TEXT_ONLY),
    "web_search_options": FieldPolicy("refuse", "programs search nothing"),
    "logit_bias": FieldPolicy("refuse", _MEASURED, neutral=({},)),
    "frequency_penalty": FieldPolicy(
        "ignore", "a penalty would also fall on the field markers", neutral=(0,)
    ),
    "presence_penalty": FieldPolicy("ignore", "a penalty would also fall on the field markers", neutral=(0,)),
    "parallel_tool_calls": FieldPolicy("ignore", _NO_TOOLS, neutral=(True, False)),
    "reasoning_effort": FieldPolicy("ignore", "how a program reasons is compiled into it", neutral=("none",)),
    "verbosity": FieldPolicy("ignore", "how long an answer is, is compiled into it"),
    "prediction": FieldPolicy("ignore", _NO_EFFECT),
    "moderation": FieldPolicy("ignore", "nothing is moderated here"),
    "metadata": FieldPolicy("ignore", "nothing of it is kept", neutral=({},)),
    "store": FieldPolicy(
        "ignore",
        "`false` keeps it out of the traffic log; nothing can be fetched again",
        neutral=(False,),
    ),
    "service_tier": FieldPolicy("ignore", _NO_EFFECT, neutral=("auto", "default")),
    "prompt_cache_key": FieldPolicy("ignore", "the constant prompt is always first, so the engine caches it"),
    "prompt_cache_options": FieldPolicy(
        "ignore", "the constant prompt is always first, so the engine caches it"
    ),
    "prompt_cache_retention": FieldPolicy("ignore", "the engine decides"),
    "safety_identifier": FieldPolicy("ignore", "end users are not told apart"),
    "user": FieldPolicy("ignore", "end users are not told apart"),
}

VLLM: dict[str, FieldPolicy] = {
    "top_k": FieldPolicy("apply", "instead of the engine's own", _integer(-1, 2**31 - 1), upstream=True),
    "min_p": FieldPolicy("apply", "instead of the engine's own", _number(0, 1), upstream=True),
    "repetition_penalty": FieldPolicy(
        "ignore", "a penalty would also fall on the field markers", neutral=(1,)
    ),
    "length_penalty": FieldPolicy("ignore", "belongs to beam search", neutral=(1,)),
    "use_beam_search": FieldPolicy("refuse", _MEASURED, neutral=(False,)),
    "stop_token_ids": FieldPolicy(
        "refuse", "a stop counts in the answer, where there are no token ids", neutral=([],)
    ),
    "include_stop_str_in_output": FieldPolicy(
        "refuse", "the stop is never part of the answer", neutral=(False,)
    ),
    "ignore_eos": FieldPolicy("refuse", _MEASURED, neutral=(False,)),
    "min_tokens": FieldPolicy("refuse", _MEASURED, neutral=(0,)),
    "skip_special_tokens": FieldPolicy("refuse", _MEASURED, neutral=(True,)),
    "spaces_between_special_tokens": FieldPolicy("ignore", _NO_EFFECT, neutral=(True,)),
    "bad_words": FieldPolicy("refuse", _MEASURED, neutral=([],)),
    "allowed_token_ids": FieldPolicy("refuse", _MEASURED),
    "truncate_prompt_tokens": FieldPolicy("refuse", "the prompt is never cut in silence"),
    "truncation_side": FieldPolicy("ignore", "the prompt is never cut in silence"),
    "watermarking": FieldPolicy("refuse", _MEASURED, neutral=(False,)),
    "prompt_logprobs": FieldPolicy("refuse", "the prompt is the release's own"),
    "logprob_token_ids": FieldPolicy("refuse", "as `logprobs`"),
    "repetition_detection": FieldPolicy("ignore", _NO_EFFECT),
    "structured_outputs": FieldPolicy("refuse", _OWN_FORMAT),
    "chat_template": FieldPolicy("refuse", "the template belongs to the student that was measured"),
    "chat_template_kwargs": FieldPolicy(
        "refuse", "the template belongs to the student that was measured", neutral=({},)
    ),
    "add_generation_prompt": FieldPolicy("refuse", _MEASURED, neutral=(True,)),
    "continue_final_message": FieldPolicy("refuse", "the program begins its own reply", neutral=(False,)),
    "echo": FieldPolicy("refuse", "the prompt is the release's own", neutral=(False,)),
    "add_special_tokens": FieldPolicy("refuse", _MEASURED, neutral=(False,)),
    "documents": FieldPolicy("refuse", "send documents as `inputs`", neutral=([],)),
    "return_token_ids": FieldPolicy("ignore", "the raw reply is not shown", neutral=(False,)),
    "return_tokens_as_token_ids": FieldPolicy("ignore", "the raw reply is not shown", neutral=(False,)),
    "return_prompt_text": FieldPolicy("ignore", "the prompt is the release's own", neutral=(False,)),
    "return_token_offsets": FieldPolicy("ignore", "the prompt is the release's own", neutral=(False,)),
    "routed_experts_prompt_start": FieldPolicy("ignore", "belongs to the engine", neutral=(0,)),
    "include_reasoning": FieldPolicy("ignore", "reasoning is always in `message.reasoning`", neutral=(True,)),
    "thinking_token_budget": FieldPolicy("ignore", "how a program reasons is compiled into it"),
    "stream_interval": FieldPolicy("ignore", "pieces come as they arrive"),
    "priority": FieldPolicy("ignore", "requests are equal", neutral=(0,)),
    "cache_salt": FieldPolicy("ignore", "the constant prompt is shared by all requests of a release"),
    "request_id": FieldPolicy("ignore", "the gateway names its requests"),
    "session_id": FieldPolicy("ignore", "requests are independent"),
    "mm_processor_kwargs": FieldPolicy("ignore", _TEXT_ONLY),
    "mm_payload": FieldPolicy("ignore", _TEXT_ONLY, neutral=("tensors",)),
    "media_io_kwargs": FieldPolicy("ignore", _TEXT_ONLY, neutral=({},)),
    "return_mm_kwargs": FieldPolicy("ignore", _TEXT_ONLY, neutral=(False,)),
    "kv_transfer_params": FieldPolicy("refuse", "belongs to the engine"),
    "ec_transfer_params": FieldPolicy("refuse", "belongs to the engine"),
    "vllm_xargs": FieldPolicy("refuse", "belongs to the engine"),
}

OURS: dict[str, FieldPolicy] = {
    "inputs": FieldPolicy(
        "apply", "the program's inputs by name, instead of what `messages` would give", _object
    ),
}

FIELDS: dict[str, FieldPolicy] = {**OPENAI, **VLLM, **OURS}

TOOLS: dict[str, FieldPolicy] = {
    "tools": FieldPolicy("apply", "what the program may call; the client runs it", _array, neutral=([],)),
    "tool_choice": FieldPolicy(
        "apply", "`none`, `auto`, `required`, one function, or `allowed_tools`", _choice, neutral=("auto",)
    ),
    "parallel_tool_calls": FieldPolicy("apply", "`false` is one call at most", _flag, neutral=(True,)),
    "functions": FieldPolicy("refuse", "send `tools`", neutral=([],)),
    "function_call": FieldPolicy("refuse", "send `tool_choice`", neutral=("none", "auto")),
}
"""What is otherwise for programs that declare tools."""

FIELDS_WITH_TOOLS: dict[str, FieldPolicy] = {**FIELDS, **TOOLS}
UNKNOWN = FieldPolicy("ignore", "this gateway does not know it")


def asks_for_something(policy: FieldPolicy, value: object) -> bool:
    """False for a value that is as good as absent; True and 1 are not the same value here."""
    if value is None:
        return False
    return not any(
        value == neutral and isinstance(value, bool) == isinstance(neutral, bool)
        for neutral in policy.neutral
    )
