"""Tests for gateway/policy.py."""

from __future__ import annotations

import pytest
from openai.types.chat import completion_create_params as params

from gateway.policy import FIELDS, OPENAI, VLLM, asks_for_something

# Read from vLLM's chat completion protocol; the engine is not installed where the unit tests run.
VLLM_FIELDS = [
    "top_k",
    "min_p",
    "repetition_penalty",
    "length_penalty",
    "stop_token_ids",
    "include_stop_str_in_output",
    "ignore_eos",
    "min_tokens",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "bad_words",
    "allowed_token_ids",
    "truncate_prompt_tokens",
    "truncation_side",
    "watermarking",
    "prompt_logprobs",
    "logprob_token_ids",
    "use_beam_search",
    "repetition_detection",
    "cache_salt",
    "priority",
    "request_id",
    "session_id",
    "include_reasoning",
    "thinking_token_budget",
    "chat_template",
    "chat_template_kwargs",
    "add_generation_prompt",
    "continue_final_message",
    "return_token_ids",
    "return_prompt_text",
    "return_token_offsets",
    "routed_experts_prompt_start",
    "stream_interval",
    "vllm_xargs",
    "kv_transfer_params",
    "ec_transfer_params",
    "structured_outputs",
    "echo",
    "add_special_tokens",
    "documents",
    "return_tokens_as_token_ids",
    "mm_processor_kwargs",
    "mm_payload",
    "media_io_kwargs",
    "return_mm_kwargs",
]


def test_every_field_of_the_openai_package_has_a_policy() -> None:
    declared = {
        *params.CompletionCreateParamsBase.__annotations__,
        *params.CompletionCreateParamsStreaming.__annotations__,
        *params.CompletionCreateParamsNonStreaming.__annotations__,
    }
    assert declared == OPENAI.keys()


def test_every_field_of_vllm_has_a_policy() -> None:
    assert set(VLLM_FIELDS) == VLLM.keys()


def test_only_applied_fields_are_checked_or_sent_upstream() -> None:
    for name, policy in FIELDS.items():
        assert (policy.check is not None) == (policy.treatment == "apply"), name
        assert not policy.upstream or policy.treatment == "apply", name


def test_every_policy_says_why_in_a_few_words() -> None:
    assert all(5 < len(policy.note) < 120 and not policy.note.endswith(".") for policy in FIELDS.values())


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_null_is_as_good_as_absent(name: str) -> None:
    assert not asks_for_something(FIELDS[name], None)


@pytest.mark.parametrize(
    ("name", "value", "asks"),
    [
        ("n", 1, False),
        ("n", 2, True),
        ("n", True, True),
        ("logprobs", False, False),
        ("logprobs", 0, True),
        ("tools", [], False),
        ("tool_choice", "auto", False),
        ("response_format", {"type": "text"}, False),
        ("response_format", {"type": "json_object"}, True),
        ("frequency_penalty", 0.0, False),
    ],
)
def test_a_neutral_value_asks_for_nothing(name: str, value: object, asks: bool) -> None:
    assert asks_for_something(FIELDS[name], value) is asks
