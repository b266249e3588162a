"""Which models can be had: those that answer now, hosted ones whose key is there, and some worth trying.

Asks the configured servers, and others only when told their ports; hosted services are never asked.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine import lmstudio
from engine.client import EngineClient, ModelCard, Timeouts
from engine.errors import EngineError
from engine.home import EngineHome, default_home
from engine.prices import Price, price_of
from engine.providers import KEY_VARIABLES, provider_of
from engine.running import running_engines
from engine.settings import EngineSettings, Settings

USUAL_PORTS: Mapping[int, str] = {
    1234: "LM Studio",
    8000: "vLLM",
    8080: "llama.cpp",
    8100: "engine serve",
    11434: "Ollama",
}

# Enough for a list on a desktop that is busy with a model; a machine that is off should not hold up the rest.
_QUICK = Timeouts(connect=2.0, first_byte=10.0, total=15.0)


@dataclass(frozen=True)
class Served:
    """A model that a server has now. `loaded` is None where the server does not say."""

    engine: str
    url: str
    model: str
    context_tokens: int | None
    loaded: bool | None
    price: Price | None


@dataclass(frozen=True)
class Silent:
    """A server that gave no list of models."""

    engine: str
    url: str
    reason: str


@dataclass(frozen=True)
class Hosted:
    """A hosted service, or a configured model of one. `key`: is it there; None where only LiteLLM knows."""

    name: str
    key: bool | None
    variables: tuple[str, ...]
    price: Price | None = None


@dataclass(frozen=True)
class Suggestion:
    """A model worth trying. `tier` is a teacher's, `parameters` a student's."""

    name: str
    tier: str = ""
    parameters: str = ""
    context_tokens: int | None = None
    context_source: str = ""
    price: Price | None = None


@dataclass(frozen=True)
class Suggestions:
    """The curated table, as of `date`."""

    date: str
    teachers: Sequence[Suggestion]
    students: Sequence[Suggestion]


@dataclass(frozen=True)
class Survey:
    """What was found."""

    served: Sequence[Served]
    silent: Sequence[Silent]
    hosted: Sequence[Hosted]
    suggested: Suggestions = field(default_factory=lambda: suggestions())


async def survey(settings: Settings, ports: Mapping[int, str]) -> Survey:
    """Asks all servers at once; of `ports`, on this machine, only what answers is told."""
    engines = [
        (replace(engine, name=name), url) for name, engine in settings.engines.items() for url in engine.urls
    ]
    home = EngineHome(settings.home) if settings.home else default_home()
    priced = next((e for e in settings.engines.values() if not e.urls and e.model is None), None)
    known = {url.rstrip("/").removesuffix("/v1") for _, url in engines}
    for up in running_engines(home):
        if up.url not in known:
            engines.append((replace(priced or EngineSettings("local"), name="local"), up.url))
            known.add(up.url)
    probes = [
        (EngineSettings(name), f"http://127.0.0.1:{port}")
        for port, name in ports.items()
        if not known & {f"http://127.0.0.1:{port}", f"http://localhost:{port}"}
    ]
    found = await asyncio.gather(*(_ask(engine, url) for engine, url in [*engines, *probes]))
    configured, probed = found[: len(engines)], found[len(engines) :]
    lists = [item for item in [*configured, *probed] if not isinstance(item, Silent)]
    return Survey(
        served=[served for models in lists for served in models],
        silent=[item for item in configured if isinstance(item, Silent)],
        hosted=_hosted(settings),
    )


def suggestions() -> Suggestions:
    """The curated table; prices come from the list that builds are charged by."""
    table = tomllib.loads((Path(__file__).parent / "models.toml").read_text(encoding="utf-8"))
    return Suggestions(
        date=table["date"],
        teachers=[Suggestion(price=_hosted_price(entry["name"]), **entry) for entry in table["teachers"]],
        students=[Suggestion(**entry) for entry in table["students"]],
    )


async def _ask(engine: EngineSettings, url: str) -> Silent | list[Served]:
    async with EngineClient(url, "", key=engine.key, timeouts=_QUICK) as client:
        try:
            cards: Sequence[ModelCard] = await client.models()
            if engine.kind == "lmstudio" or lmstudio.is_lmstudio(cards):
                cards = await lmstudio.list_models(client)
        except EngineError as error:
            return Silent(engine.name, client.url, str(error))
        price = price_of(engine)
        return [
            Served(engine.name, client.url, card.id, card.max_model_len, card.loaded, price) for card in cards
        ]


def _hosted(settings: Settings) -> list[Hosted]:
    """The configured models of hosted services, then the services whose key is there."""
    models = []
    for engine in settings.engines.values():
        if engine.urls or engine.model is None:
            continue
        provider = provider_of(engine.model)
        names = (engine.key_env,) if engine.key_env else KEY_VARIABLES.get(provider, ())
        key = bool(engine.key or settings.keys.get(provider)) if names else None
        models.append(Hosted(engine.model, key, names, price_of(engine)))
    return models + [Hosted(provider, True, KEY_VARIABLES[provider]) for provider in settings.keys]


def _hosted_price(model: str) -> Price | None:
    return price_of(EngineSettings(model, model=model))
