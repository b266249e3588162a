"""OpenAI's chat protocol as this package reads it: what a reply, a streamed piece and a model card hold.

Knows the wire format only; it opens no connection. Servers disagree on the name of the reasoning field
(`reasoning` or `reasoning_content`): both are read, and one is handed on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import orjson

from engine.errors import EngineReplyInvalid


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them.

    `cached_tokens` of the prompt were in its cache, `reasoning_tokens` of the completion were thinking that a
    server's parser takes out of the text; None if untold.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One complete answer. `finish_reason` is the server's word (`stop`, `length`, ...)."""

    text: str
    reasoning: str
    finish_reason: str
    usage: Usage | None
    model: str


@dataclass(frozen=True, slots=True)
class Delta:
    """One streamed piece; `usage` comes with the last piece only, and only if the server counts."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One entry of a server's model list. What is None the server does not say."""

    id: str
    max_model_len: int | None = None
    loaded: bool | None = None
    chats: bool = True
    """False for a model that only makes embeddings."""
    owner: str | None = None


Body = Mapping[str, object]

_MOST_TOKENS = 2**40  # of one call; more is a fault of the server that counted


def decode(data: bytes, url: str) -> Body:
    """The JSON object in `data`.

    Raises EngineReplyInvalid, which says what came instead but quotes none of it: errors are logged, and a
    reply may hold what a user wrote.
    """
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        like = "like a page" if data.lstrip()[:1] == b"<" else f"wrong at character {error.pos}"
        raise EngineReplyInvalid(
            f"The engine at {url} sent something else than JSON: {len(data)} bytes, {like}."
        ) from None
    if not isinstance(body, dict):
        raise EngineReplyInvalid(f"The engine at {url} sent JSON that is no object, in {len(data)} bytes.")
    return cast(Body, body)


def read_reply(body: Body, model: str, url: str) -> Reply:
    """The first choice of a chat completion. `model` stands in where the server names none."""
    choice = _first_choice(body)
    message = choice.get("message") if choice is not None else None
    if choice is None or not isinstance(message, dict):
        said, _ = error_message(body)
        raise EngineReplyInvalid(
            f"The engine at {url} sent no `choices[0].message`, only {said or sorted(body)}."
        )
    return Reply(
        text=_text(message, "content", url),
        reasoning=_text(message, "reasoning", url) or _text(message, "reasoning_content", url),
        finish_reason=str(choice.get("finish_reason") or "stop"),
        usage=read_usage(body),
        model=str(body.get("model") or model),
    )


def read_delta(body: Body, url: str) -> Delta | None:
    """The piece in one streamed chunk, without usage; None for a chunk that carries no choice."""
    choice = _first_choice(body)
    if choice is None:
        return None
    delta = choice.get("delta")
    fields = cast(Body, delta) if isinstance(delta, dict) else {}
    finish = choice.get("finish_reason")
    return Delta(
        text=_text(fields, "content", url),
        reasoning=_text(fields, "reasoning", url) or _text(fields, "reasoning_content", url),
        finish_reason=str(finish) if finish else None,
    )


def joined(deltas: Sequence[Delta]) -> Delta | None:
    """Pieces that follow one another as one; None where there are none."""
    if len(deltas) < 2:
        return deltas[0] if deltas else None
    return Delta(
        text="".join([delta.text for delta in deltas]),
        reasoning="".join([delta.reasoning for delta in deltas]),
        finish_reason=next((d.finish_reason for d in reversed(deltas) if d.finish_reason), None),
    )


def read_usage(body: Body) -> Usage | None:
    """The token counts of a reply or chunk; None unless both counts are there."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens", 0))
    if prompt is None or completion is None:
        return None
    cached = _detail(usage, "prompt_tokens_details", "cached_tokens")
    reasoning = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    return Usage(prompt, completion, None if cached is None else min(cached, prompt), reasoning)


def _detail(usage: Body, details: str, name: str) -> int | None:
    found = usage.get(details)
    return _count(found.get(name)) if isinstance(found, dict) else None


def _count(value: object) -> int | None:
    """A number of tokens; one that can be none is as good as untold, because money is counted by it."""
    return value if isinstance(value, int) and 0 <= value <= _MOST_TOKENS else None


def read_model_cards(body: Body, url: str) -> list[ModelCard]:
    """The entries of `/v1/models`, context lengths under any of the names that servers use."""
    entries = body.get("data")
    if not isinstance(entries, list):
        said, _ = error_message(body)
        raise EngineReplyInvalid(
            f"The engine at {url} sent a model list without `data`: {said or sorted(body)}."
        )
    cards = [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]
    return [_model_card(entry) for entry in cards]


def error_message(body: object) -> tuple[str, str]:
    """(message, code) of an error body in any of the common shapes; empty strings where there is none."""
    if not isinstance(body, dict):
        return "", ""
    error = body.get("error", body)
    if isinstance(error, str):
        return error, ""
    if not isinstance(error, dict):
        return "", ""
    message = error.get("message") or error.get("detail") or ""
    words = [str(error[key]) for key in ("code", "type") if error.get(key) is not None]
    return message if isinstance(message, str) else str(message), " ".join(words)


def _model_card(entry: Body) -> ModelCard:
    meta = entry.get("meta")
    lengths = [entry.get(name) for name in ("max_model_len", "loaded_context_length", "max_context_length")]
    if isinstance(meta, dict):
        # llama.cpp: what it was started with, and what the model could do.
        lengths += [meta.get("n_ctx"), meta.get("n_ctx_train")]
    state, owner = entry.get("state"), entry.get("owned_by")
    return ModelCard(
        id=str(entry["id"]),
        max_model_len=next((length for length in lengths if isinstance(length, int)), None),
        loaded=state == "loaded" if isinstance(state, str) else None,
        chats=entry.get("type") not in ("embeddings", "embedding"),
        owner=owner if isinstance(owner, str) else None,
    )


def _first_choice(body: Body) -> Body | None:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None
    return cast(Body, choices[0])


def _text(fields: Body, name: str, url: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(str(part.get("text") or "") for part in value if isinstance(part, dict))
    raise EngineReplyInvalid(f"The engine at {url} sent {name!r} as {type(value).__name__}, expected text.")
