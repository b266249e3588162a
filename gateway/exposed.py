"""Engines' own models that clients may ask as they are: which there are, and where each of them runs.

A model is looked for when the gateway starts, and again by requests while its engine can't be reached. Once
it is found at one of an engine's several URLs, all of them serve it, each opened and watched by itself.
A model that is not exposed has no name here, whatever its engine would answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from time import monotonic

from engine.errors import EngineError, EngineWrongModel
from engine.prices import price_of
from engine.settings import EngineSettings, Settings
from gateway.engines_own import model_now, open_model
from gateway.errors import ModelUnavailable, StartFailed
from gateway.fleet.member import member_label
from gateway.metrics import Metrics, ReleaseMetrics
from gateway.place import Asked, Place, ServedStudent
from gateway.students import Students

_log = logging.getLogger(__name__)
_PAUSE_SECONDS = 1.0  # between two looks for a model whose engine is silent


@dataclass(frozen=True)
class ExposedModel:
    """`name` is what clients call it, whatever its engines call it."""

    name: str
    served: ServedStudent
    metrics: ReleaseMetrics

    @property
    def up(self) -> bool:
        """Whether one of its engines answers, as far as they are watched."""
        fleet = self.served.fleet
        return fleet is None or any(member.place.up for member in fleet.members)

    def asked(self) -> Asked:
        """What one request asks."""
        return self.served.asked_for(self.name, None)


class NotThere(ModelUnavailable):
    """All engines that may have a model have told what they have, and it is not among them."""


class ExposedModels:
    """The exposed models of one gateway; what they are asked through stays open until `close`."""

    def __init__(
        self, settings: Settings, students: Students, metrics: Metrics, recheck_seconds: float
    ) -> None:
        own = [model for engine in settings.engines.values() for model in engine.expose]
        self.names = frozenset([*settings.expose, *own])
        self._settings = settings
        self._students = students
        self._metrics = metrics
        self._recheck_seconds = recheck_seconds
        self._found: dict[str, ExposedModel] = {}
        self._opened = AsyncExitStack()
        self._keepers: list[asyncio.Task[None]] = []
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
        found = self._found.get(name)
        return found if found is not None and found.up else None

    def ready(self) -> bool:
        return any(found.up for found in self._found.values())

    def lost(self, model: ExposedModel) -> None:
        """Its connection broke: a local engine may come up at another address, so the next request looks."""
        moves = model.served.student.engine.name not in self._settings.engines
        if moves and self._found.get(model.name) is model:
            del self._found[model.name]

    async def close(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await self._opened.aclose()

    async def _search(self, name: str) -> ExposedModel:
        """The model at the first engine that has it; requests that come meanwhile do not each knock there."""
        seen: list[str] = []
        silent = False
        if monotonic() < self._silent_until.get(name, 0.0):
            raise _unreachable(name)
        for engine in self._engines(name):
            for url in engine.urls:
                try:
                    return self._keep(name, await self._served(name, engine, url))
                except EngineWrongModel as error:
                    seen.append(str(error))
                except EngineError as error:
                    _log.warning("engine %r can't be asked for the model %r: %s", engine.name, name, error)
                    silent = True
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

    async def _served(self, name: str, engine: EngineSettings, url: str) -> ServedStudent:
        """The model, which is looked for at one of an engine's URLs. Raises EngineError."""
        model = open_model(name, engine, url)
        if not engine.is_fleet:
            student = await self._opened.enter_async_context(model)
            meter = self._students.meter_of(student.engine)
            return ServedStudent(student, price_of(student.engine), meter, student.fingerprint)
        async with model:
            return await self._shared(name, engine)

    async def _shared(self, name: str, engine: EngineSettings) -> ServedStudent:
        """The model at all URLs of an engine that has it, as soon as it is open at one of them."""
        known = asyncio.Event()

        def changed() -> None:
            fleet.changed()
            if any(it.served for it in places) or all(it.tried.is_set() for it in places):
                known.set()

        places = [self._place(name, engine, number, changed) for number in range(len(engine.urls))]
        # The engine's own name is that of its students' fleet, which may be asked where this one is not.
        fleet = self._students.fleet_of(engine, places, f"{engine.name}#{name}")
        keepers = [asyncio.create_task(place.keep(), name=place.name) for place in places]
        self._keepers += keepers
        found = False
        try:
            await known.wait()
            found = any(place.served is not None for place in places)
        finally:
            if not found:
                for keeper in keepers:
                    keeper.cancel()
        for place in places:
            if place.served is not None:
                return fleet.front(place.served)
        raise next(place.error for place in places if place.error is not None)

    def _place(self, name: str, engine: EngineSettings, number: int, changed: Callable[[], None]) -> Place:
        url = engine.urls[number]
        return Place(
            f"exposed model {name!r} at {member_label(url)}",
            partial(open_model, name, engine, url),
            partial(self._students.meter_of, number=number),
            changed,
            self._recheck_seconds,
            partial(model_now, name),
        )

    def _keep(self, name: str, served: ServedStudent) -> ExposedModel:
        found = self._found[name] = ExposedModel(name, served, self._metrics.for_release(name, ""))
        student = served.student
        _log.info("exposing %r, which is %r at %s", name, student.client.model, student.engine.name)
        return found


def _unreachable(name: str) -> ModelUnavailable:
    told = f"The engine of the model {name!r} can't be reached; the gateway's log says why."
    return ModelUnavailable(told, retry=True)
