"""What a request for an engine's own model may not say, because the engine would read more in it than was
read here; and what is asked of the engine beside, so that it counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.settings_access import CapSettings
from gateway.errors import RequestInvalid
from gateway.limits.appetite import prompts_of

_WHOLE = ("n", "best_of", "max_tokens", "max_completion_tokens", "n_predict", "stream_interval")
_ENGINES_OWN = (
    "chat_template", "kv_transfer_params", "ec_transfer_params", "request_id", "priority",
)  # fmt: skip
_TEMPLATES_OWN = ("chat_template", "tokenize")
_MOST_AT_ONCE = 4096


def check_raw_body(body: Mapping[str, Any], caps: CapSettings) -> None:
    """Raises RequestInvalid."""
    for name in body:
        # Engines in Go read 'Model' as 'model', and the Kelvin sign as a k.
        if not name.isascii() or name != name.lower():
            raise _unsupported(name[:80], "names of fields are in small letters")
    for name in _WHOLE:
        # Elsewhere "9" and 9.0 are as good as 9; no cap would have looked at them.
        if body.get(name) is not None and type(body[name]) is not int:
            raise RequestInvalid(f"{name!r} must be a whole number.", param=name, code="invalid_type")
    if not isinstance(body.get("stream"), bool | None):
        raise RequestInvalid("'stream' must be true or false.", param="stream", code="invalid_type")
    for name in ("prompt", "input"):
        if len(prompts_of(body, name)) > caps.inputs:
            told = f"{name!r} may hold at most {caps.inputs} here."
            raise RequestInvalid(told, param=name, code="invalid_value")
    _refuse_what_works_on_the_engine(body)


def _refuse_what_works_on_the_engine(body: Mapping[str, Any]) -> None:
    """A template is code that the engine runs, transfers name hosts that it connects to, and an id or a
    priority is one among all its requests.
    """
    options = body.get("chat_template_kwargs")
    within = [name for name in _TEMPLATES_OWN if isinstance(options, dict) and name in options]
    name = next((name for name in _ENGINES_OWN if body.get(name) is not None), None)
    if name is None and within:
        name = f"chat_template_kwargs.{within[0]}"
    if name is not None:
        raise _unsupported(name, "it would work on the engine, and not on one request")


def with_counts(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """The body of a request whose stream ends with the engine's counts, and whether that was added."""
    options = body.get("stream_options") or {}
    if not body.get("stream") or not isinstance(options, dict) or options.get("include_usage"):
        return body, False
    return {**body, "stream_options": {**options, "include_usage": True}}, True


def tokens_at_once(body: Mapping[str, Any]) -> int:
    """How many tokens an event of the stream may hold, where the client says so."""
    return min(max(body.get("stream_interval") or 1, 1), _MOST_AT_ONCE)


def _unsupported(name: str, why: str) -> RequestInvalid:
    told = f"{name!r} is not passed on: {why}."
    return RequestInvalid(told, param=name, code="unsupported_parameter")
