"""A model of an engine that clients may ask as it is: found in the engine's list, and watched there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from engine.client import EngineClient, ModelCard, bare_name
from engine.errors import EngineWrongModel
from engine.fingerprint import Fingerprint, fingerprint_of_name
from engine.local import Student, connect
from engine.settings import EngineSettings
from gateway.place import ServedStudent


@asynccontextmanager
async def open_model(name: str, engine: EngineSettings, url: str) -> AsyncIterator[Student]:
    """The model at one of an engine's URLs, until the block ends.

    Raises EngineError: nothing answers there, or what does has no such model (EngineWrongModel).
    """
    client, cards = await connect(replace(engine, urls=(url,)))
    try:
        card = _named(name, cards, client)
        client.model = card.id
        own = replace(engine, urls=(url,), model=card.id)
        yield Student(client, fingerprint_of_name(card.id), own, name, card.max_model_len)
    finally:
        await client.close()


async def model_now(name: str, served: ServedStudent) -> Fingerprint:
    """Which model it is now: by its name alone, for it may be one that can't be asked in a chat."""
    client = served.student.client
    assert isinstance(client, EngineClient), "only models of servers are exposed"
    return fingerprint_of_name(_named(name, await client.models(), client).id)


def _named(name: str, cards: Sequence[ModelCard], client: EngineClient) -> ModelCard:
    """The card with this name, or the only one with this name but for publisher and quantisation."""
    alike = [card for card in cards if bare_name(card.id) == bare_name(name)]
    exact = next((card for card in cards if card.id == name), None)
    card = exact or (alike[0] if len(alike) == 1 else None)
    if card is None:
        listed = ", ".join(repr(it.id) for it in cards[:8])
        raise EngineWrongModel(f"{client.url} has {listed or 'none'}")
    return card
