"""What LM Studio tells beyond OpenAI's protocol, and the patience it needs.

It is recognised by its model list, so a plain URL is enough. Its own lists say which models are loaded and
with how much context; OpenAI's says neither (lmstudio-ai/lmstudio-bug-tracker#2139).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.chat import Body, ModelCard, read_model_cards
from engine.client import EngineClient, Timeouts
from engine.errors import (
    EngineCredentialRefused,
    EngineReplyInvalid,
    EngineRequestRefused,
    EngineServerError,
)

# A model that is loaded on demand, and requests that wait for the few which a desktop runs at once.
PATIENT = Timeouts(first_byte=600.0, total=1200.0)

_OWNER = "organization_owner"
_EMBEDDING = "text-embedding-"


def is_lmstudio(cards: Sequence[ModelCard]) -> bool:
    """Whether this is LM Studio's own way to fill in `owned_by`."""
    return any(card.owner == _OWNER for card in cards)


async def list_models(client: EngineClient) -> list[ModelCard]:
    """The models for chats, with their state and context where this version of LM Studio tells them.

    `/api/v1/models` came with 0.4.0, `/api/v0/models` with 0.3.6. An address that it does not know gets an
    error with status 200 (lmstudio-ai/lmstudio-bug-tracker#618).
    """
    for path, read in (("/api/v1/models", _cards_of_v1), ("/api/v0/models", read_model_cards)):
        try:
            cards = read(await client.get(path), client.url)
        except (EngineReplyInvalid, EngineRequestRefused, EngineServerError, EngineCredentialRefused):
            # Refused: tokens have permissions, and one may be for OpenAI's protocol only.
            continue
        return [card for card in cards if card.chats]
    # OpenAI's list has no types, but LM Studio gives embedding models a name of their own.
    return [card for card in await client.models() if not card.id.startswith(_EMBEDDING)]


def _cards_of_v1(body: Body, url: str) -> list[ModelCard]:
    models = body.get("models")
    if not isinstance(models, list):
        raise EngineReplyInvalid(f"LM Studio at {url} sent a model list without `models`: {sorted(body)}.")
    return [card for model in models if isinstance(model, dict) for card in _instances(model)]


def _instances(model: Mapping[str, Any]) -> Iterator[ModelCard]:
    """The model itself, and each loaded instance of it, which has a name and a context of its own."""
    card = ModelCard(
        str(model.get("key")),
        _whole(model.get("max_context_length")),
        loaded=False,
        chats=model.get("type") != "embedding",
    )
    loaded = [instance for instance in model.get("loaded_instances") or () if isinstance(instance, dict)]
    if card.id not in [instance.get("id") for instance in loaded]:
        yield card
    for instance in loaded:
        config = instance.get("config")
        context = _whole(config.get("context_length")) if isinstance(config, dict) else None
        yield replace(
            card, id=str(instance.get("id")), loaded=True, max_model_len=context or card.max_model_len
        )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
