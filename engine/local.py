"""A student, opened: the configured server, else a local engine that is up, else one started here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace

from engine import lmstudio
from engine.client import EngineClient, ModelCard
from engine.errors import (
    EngineError,
    EngineNotFound,
    EngineReplyInvalid,
    EngineUnreachable,
    EngineWrongModel,
)
from engine.fingerprint import Fingerprint, fingerprint_of_name, take_fingerprint
from engine.home import EngineHome, default_home
from engine.hosted import HostedClient, check_hosted
from engine.launch import Address
from engine.model_files import find_model
from engine.running import running_engines
from engine.serving import Serve, serving
from engine.settings import EngineSettings, Settings, resolve_student
from engine.waiting import DEFAULT_TIMEOUTS, Timeouts

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Student:
    """A model ready to be asked. `name` is the logical name that releases bind, `engine` where it runs."""

    client: EngineClient | HostedClient
    fingerprint: Fingerprint
    engine: EngineSettings
    name: str
    context_tokens: int | None


@asynccontextmanager
async def open_student(
    settings: Settings, name: str | None = None, progress: Progress = print, *, only: str | None = None
) -> AsyncIterator[Student]:
    """The student by its logical name, until the block ends; None is the one that the settings mean.

    `only` is which of its engine's URLs is meant; without, it is the first that answers.
    Raises EngineError: nothing answers there, the name is unknown, no engine is installed or none starts.
    """
    engine = resolve_student(settings, name)
    if engine is not None and only is not None:
        engine = replace(engine, urls=(only,))
    async with AsyncExitStack() as opened:
        weights = None
        if engine is None or _is_local(engine):
            home = EngineHome(settings.home) if settings.home else default_home()
            engine, weights = await _local(opened, home, engine or EngineSettings("local"), progress)
        client: EngineClient | HostedClient
        if engine.urls:
            connected, card = await _connected(opened, engine, progress)
            fingerprint = await take_fingerprint(connected, weights)
            if card is not None and card.loaded is False:
                # Now that it is loaded, the server knows with how much context.
                card = next((it for it in await lmstudio.list_models(connected) if it.id == card.id), card)
            client = connected
        else:
            check_hosted(engine.model or "", engine.key)
            client = HostedClient(engine.model or "", key=engine.key)
            card, fingerprint = (await client.models())[0], fingerprint_of_name(client.model)
        yield Student(
            client=client,
            fingerprint=fingerprint,
            engine=replace(engine, model=client.model),
            name=name or settings.student,
            context_tokens=card.max_model_len if card is not None else None,
        )


def _is_local(engine: EngineSettings) -> bool:
    return not engine.urls and engine.model is None


async def _local(
    opened: AsyncExitStack, home: EngineHome, engine: EngineSettings, progress: Progress
) -> tuple[EngineSettings, str | None]:
    """A local engine as settings, and the digest of its weights; started here if none is up."""
    up = running_engines(home)
    if up:
        running = up[0]
        progress(f"Using the local engine that is up: {running.model} on {running.url}")
    else:
        # A free port and no note: nobody else should come to depend on an engine that ends with this block.
        serve = Serve(find_model(None), address=Address("127.0.0.1", 0))
        running = (await opened.enter_async_context(serving(home, serve, progress))).running
    return replace(engine, urls=(running.url,), model=running.model), running.weights


async def connect(engine: EngineSettings) -> tuple[EngineClient, list[ModelCard]]:
    """A client to the first URL of a server that answers, and what it lists; closing it is the caller's part.

    Raises EngineError: none answers, or one does in a way that no other URL would mend.
    """
    failure: EngineError | None = None
    for url in engine.urls:
        timeouts = _timeouts(DEFAULT_TIMEOUTS, engine)
        client = EngineClient(url, engine.model or "", key=engine.key, timeouts=timeouts)
        try:
            cards = await client.models()
        except EngineError as exc:
            await client.close()
            if not isinstance(exc, EngineUnreachable):
                raise
            failure = exc
            continue
        if engine.kind == "lmstudio" or lmstudio.is_lmstudio(cards):
            await client.close()
            timeouts = _timeouts(lmstudio.PATIENT, engine)
            client = EngineClient(url, client.model, key=engine.key, timeouts=timeouts, same_model=True)
        return client, cards
    assert failure is not None, "a server has at least one URL"
    raise failure


def _timeouts(usual: Timeouts, engine: EngineSettings) -> Timeouts:
    said = {phase: seconds for phase, seconds in asdict(engine.timeouts).items() if seconds is not None}
    return replace(usual, **said)


async def _connected(
    opened: AsyncExitStack, engine: EngineSettings, progress: Progress
) -> tuple[EngineClient, ModelCard | None]:
    """A client to the engine, and the card of its model: the only one, if none is named."""
    client, cards = await connect(engine)
    opened.push_async_callback(client.close)
    if engine.kind == "lmstudio" or lmstudio.is_lmstudio(cards):
        cards = await lmstudio.list_models(client)
        engine = replace(engine, kind="lmstudio")
    card = _chosen(cards, engine, client.url)
    client.model = engine.model or card.id if card is not None else client.model
    if card is not None and card.loaded is False:
        progress(f"The engine at {client.url} loads {client.model} ...")
    return client, card


def _chosen(cards: list[ModelCard], engine: EngineSettings, url: str) -> ModelCard | None:
    """The card of the engine's model. Only LM Studio is known to list all that it has."""
    loaded = [card for card in cards if card.loaded]
    first = sorted(cards, key=lambda card: not card.loaded)[:8]
    names = ", ".join(f"{card.id!r}{' (loaded)' if card.loaded else ''}" for card in first)
    if engine.model is not None:
        named = next((card for card in cards if card.id == engine.model), None)
        if named is None and engine.kind == "lmstudio":
            # It would answer with whatever is loaded (lmstudio-ai/lmstudio-bug-tracker#619).
            raise EngineWrongModel(
                f"LM Studio at {url} has no model {engine.model!r}; load it there, or let it load models on "
                f"demand. It has {names or 'none'}."
            )
        return named
    served = loaded or cards
    if len(served) == 1:
        return served[0]
    if not cards:
        raise EngineReplyInvalid(f"The engine at {url} lists no model; load one there.")
    raise EngineNotFound(
        f"The engine at {url} has {len(cards)} models; name one as `model`, or as in {url}#{served[0].id}: "
        f"{names}."
    )
