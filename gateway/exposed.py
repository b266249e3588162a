"""Engines' own models that clients may ask as they are: which there are, and where each of them runs.

A model is looked for when the gateway starts, and again by requests while its engine can't be reached.
A model that is not exposed has no name here, whatever its engine would answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from time import monotonic

from engine.client import EngineClient, ModelCard, bare_name
from engine.errors import EngineError
from engine.fingerprint import fingerprint_of_name
from engine.local import Student, connect
from engine.prices import price_of
from engine.settings import EngineSettings, Settings
from gateway.errors import ModelUnavailable, StartFailed
from gateway.metrics import Metrics, ReleaseMetrics
from gateway.place import ServedStudent
from gateway.students import Students

_log = logging.getLogger(__name__)
_PAUSE_SECONDS = 1.0  # between two looks for a model whose engine is silent


@dataclass(frozen=True)
class ExposedModel:
    """`name` is what clients call it; `client` asks for it by the engine's own name."""

    name: str
    client: EngineClient
    served: ServedStudent
    metrics: ReleaseMetrics


class NotThere(ModelUnavailable):
    """All engines that may have a model have told what they have, and it is not among them."""


class ExposedModels:
    """The exposed models of one gateway; their clients stay open until `close`."""

    def __init__(self, settings: Settings, students: Students, metrics: Metrics) -> None:
        own = [model for engine in settings.engines.values() for model in engine.expose]
        self.names = frozenset([*settings.expose, *own])
        self._settings = settings
        self._students = students
        self._metrics = metrics
        self._found: dict[str, ExposedModel] = {}
        self._clients: list[EngineClient] = []
        self._searching = {name: asyncio.Lock() for name in self.names}
        self._silent_until: dict[str, float] = {}

    @property
    def on_local_engine(self) -> bool:
        """Whether the models are those of the local engine, which has to be opened for that."""
        return bool(self.names) and not any(engine.urls for engine in self._settings.engines.values())

    async def first_tries(self) -> None:
        """Looks for every model once.

        Raises:
            StartFailed: a model is nowhere, and waiting would not mend it.
        """
        for name in sorted(self.names):
            try:
                await self.find(name)
            except NotThere as error:
                raise StartFailed(error.message) from error
            except ModelUnavailable as error:
                _log.warning("%s It is looked for again when it is asked.", error)

    async def find(self, name: str) -> ExposedModel:
        """One of `names`, as it can be asked now. Raises ModelUnavailable."""
        found = self._found.get(name)
        if found is None:
            async with self._searching[name]:
                found = self._found.get(name) or await self._search(name)
        return found

    def get(self, name: str) -> ExposedModel | None:
        """One of `names` if it was found and not lost since."""
        return self._found.get(name)

    def ready(self) -> bool:
        return bool(self._found)

    def lost(self, model: ExposedModel) -> None:
        """Its connection broke: where it may come up at another address, the next request looks for it."""
        engine = model.served.student.engine
        moves = engine.name not in self._settings.engines or len(engine.urls) > 1
        if moves and self._found.get(model.name) is model:
            del self._found[model.name]

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    async def _search(self, name: str) -> ExposedModel:
        """The model at the first engine that has it; requests that come meanwhile do not each knock there."""
        seen: list[str] = []
        silent = False
        if monotonic() < self._silent_until.get(name, 0.0):
            raise _unreachable(name)
        for engine in self._engines(name):
            try:
                client, cards = await connect(engine)
            except EngineError as error:
                _log.warning("engine %r can't be asked for the model %r: %s", engine.name, name, error)
                silent = True
                continue
            card = _named(name, cards)
            if card is not None:
                return self._keep(name, client, card, engine)
            await client.close()
            seen.append(f"{client.url} has {', '.join(repr(it.id) for it in cards[:8]) or 'none'}")
        if seen and not silent:
            raise NotThere(f"No engine has a model {name!r} to expose: {'; '.join(seen)}.")
        self._silent_until[name] = monotonic() + _PAUSE_SECONDS
        raise _unreachable(name)

    def _engines(self, name: str) -> Iterable[EngineSettings]:
        engines = self._settings.engines.values()
        if name not in self._settings.expose:
            return [engine for engine in engines if name in engine.expose]
        if not self.on_local_engine:
            return [engine for engine in engines if engine.urls]
        local = self._students.get(self._settings.student).served
        if local is None:
            return []
        if not local.student.engine.urls:
            raise NotThere(
                f"{name!r} can't be exposed: only models of servers can, and the student is a hosted model. "
                "[engines.NAME] with urls adds a server."
            )
        return [local.student.engine]

    def _keep(self, name: str, client: EngineClient, card: ModelCard, engine: EngineSettings) -> ExposedModel:
        self._clients.append(client)
        client.model = card.id
        fingerprint = fingerprint_of_name(card.id)
        student = Student(client, fingerprint, replace(engine, model=card.id), name, card.max_model_len)
        machine = [url.rstrip("/").removesuffix("/v1") for url in engine.urls].index(client.url)
        meter = self._students.meter_of(engine, machine)
        served = ServedStudent(student, price_of(engine), meter, fingerprint)
        found = ExposedModel(name, client, served, self._metrics.for_release(name, ""))
        self._found[name] = found
        _log.info("exposing %r, which is %r at %s", name, card.id, client.url)
        return found


def _unreachable(name: str) -> ModelUnavailable:
    told = f"The engine of the model {name!r} can't be reached; the gateway's log says why."
    return ModelUnavailable(told, retry=True)


def _named(name: str, cards: Sequence[ModelCard]) -> ModelCard | None:
    """The card with this name, or the only one with this name but for publisher and quantisation."""
    alike = [card for card in cards if bare_name(card.id) == bare_name(name)]
    exact = next((card for card in cards if card.id == name), None)
    return exact or (alike[0] if len(alike) == 1 else None)
