"""The students that releases name: each at one place or on a fleet of engines, and judged by each release.

Opening and watching them is `place`'s part, sharing calls among several engines `fleet`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal

from engine.errors import EngineError, EngineNotFound
from engine.fingerprint import Fingerprint, Mismatch, compare
from engine.local import open_student
from engine.prices import HourlyMeter
from engine.settings import EngineSettings, Settings, resolve_student
from gateway.errors import ModelUnavailable
from gateway.fleet.fleet import Fleet
from gateway.fleet.gauges import FleetMetrics, Series
from gateway.fleet.member import Member, member_label
from gateway.metrics import Metrics, ReleaseMetrics
from gateway.place import HOPELESS, Place, ServedStudent
from gateway.shared import Shared

_log = logging.getLogger(__name__)


@dataclass
class StudentState:
    """What is known of one logical student; `served` is there once it is open at one of its places."""

    name: str
    check: Literal["strict", "warn"]
    places: Sequence[Place] = ()
    fleet: Fleet | None = None
    served: ServedStudent | None = None
    tried: asyncio.Event = field(default_factory=asyncio.Event)

    def changed(self) -> None:
        """One of its places opened, failed or turned into another model."""
        open_ones = [place.served for place in self.places if place.served is not None]
        if self.fleet is not None:
            self.fleet.changed()
            up = [served for served in open_ones if served.reachable] or open_ones
            self.served = self.fleet.front(up[0]) if up else None
        else:
            self.served = open_ones[0] if open_ones else None
        if open_ones or all(place.tried.is_set() for place in self.places):
            self.tried.set()

    @property
    def error(self) -> EngineError | None:
        """Why it is open nowhere, as far as it was tried."""
        return None if self.served is not None else next((it.error for it in self.places if it.error), None)

    def refusal(
        self, release: str, expected: Fingerprint, metrics: ReleaseMetrics
    ) -> ModelUnavailable | None:
        """Why a release may not run on this student now, if so. Differences are logged and counted."""
        known = [place for place in self.places if place.last is not None]
        if self.served is None or not known:
            told = f"Student {self.name!r} can't be used now; the gateway's log says why."
            return ModelUnavailable(
                told if self.error else f"Student {self.name!r} is not up yet.", retry=True
            )
        refused: list[str] = []
        for place in known:
            mismatches = _mismatches(expected, place)
            for mismatch in mismatches:
                _log.warning("release %s, %s: %s", release, place.name, mismatch.sentence)
                metrics.count_mismatch(mismatch.kind)
            refused += [m.sentence for m in mismatches if self._refuses(m)][:1]
        if len(refused) < len(known):
            return None
        return ModelUnavailable(f"Release {release!r} was built for another student. {' '.join(refused)}")

    def misfit(self, member: Member, expected: Fingerprint) -> str | None:
        """Why an engine is not asked for a release, if so."""
        return next((m.sentence for m in _mismatches(expected, member.place) if self._refuses(m)), None)

    def _refuses(self, mismatch: Mismatch) -> bool:
        # Other weights behind the same template are usually another quantisation: a warning will do.
        return self.check == "strict" and mismatch.kind == "template"


def _mismatches(expected: Fingerprint, place: Place) -> list[Mismatch]:
    return [] if place.last is None else compare(expected, place.last.fingerprint)


class Students:
    """All students of one gateway. `changes` grows whenever one opens, fails or turns into another model."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        progress: Callable[[str], None],
        recheck_seconds: float,
        shared: Shared | None = None,
    ) -> None:
        self.changes = 0
        self._settings = settings
        self._metrics = metrics
        self._progress = progress
        self._recheck_seconds = recheck_seconds
        self._shared = shared
        self._states: dict[str, StudentState] = {}
        self._keepers: dict[str, list[asyncio.Task[None]]] = {}
        self._meters: dict[tuple[str, int], HourlyMeter] = {}

    def get(self, name: str) -> StudentState:
        if name not in self._states:
            self._states[name] = self._state(name)
        return self._states[name]

    def want(self, names: Iterable[str]) -> None:
        """Begins to open what is not open yet."""
        for name in names:
            if name not in self._keepers:
                places = self.get(name).places
                self._keepers[name] = [asyncio.create_task(it.keep(), name=it.name) for it in places]

    async def first_tries(self) -> None:
        """Waits until every wanted student is open somewhere, or was tried everywhere.

        Raises:
            EngineError: none can be had, and waiting would not mend it.
        """
        states = [self.get(name) for name in self._keepers]
        for state in states:
            await state.tried.wait()
        hopeless = [state.error for state in states if isinstance(state.error, HOPELESS)]
        if hopeless and len(hopeless) == len(states):
            raise hopeless[0]

    def troubles(self) -> Mapping[str, str]:
        """Students that can't be used now, with the reason; of a fleet also each engine that can't."""
        troubles: dict[str, str] = {}
        for name, state in self._states.items():
            told = {number: it.trouble for number, it in enumerate(state.places, 1) if it.trouble is not None}
            if len(told) == len(state.places):
                troubles[name] = told[1]
            if state.fleet is not None:
                troubles |= {f"{name}, engine {number}": trouble for number, trouble in told.items()}
        return troubles

    def misfits(self, needed: Iterable[tuple[str, str, Fingerprint]]) -> Mapping[str, str]:
        """Engines of fleets that a release is kept from; `needed` has releases, their students and models."""
        return dict(self._misfits(needed))

    def meter_of(self, engine: EngineSettings, number: int = 0) -> HourlyMeter | None:
        """The one meter of a machine that is priced by the hour, for all that run on it.

        `number` is its place among the engine's URLs.
        """
        if engine.usd_per_hour is None:
            return None
        key = (engine.name, number)
        if key not in self._meters:
            sheet = None if self._shared is None else self._shared.sheet(f"{engine.name}/{number}")
            self._meters[key] = HourlyMeter(engine.usd_per_hour, sheet=sheet)
        return self._meters[key]

    def fleet_of(self, engine: EngineSettings, places: Sequence[Place], called: str) -> Fleet:
        """The places of an engine's URLs as one fleet, which the metrics call so."""
        return Fleet(engine, places, Series(self._fleet_metrics, called), self._settings.student_check)

    def settle(self) -> None:
        """Books the idle time of engines priced by the hour up to now."""
        for (engine, _), meter in self._meters.items():
            self._metrics.idle_cost.labels(engine).inc(meter.take_idle_usd())

    async def close(self) -> None:
        keepers = [keeper for keepers in self._keepers.values() for keeper in keepers]
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)

    def _state(self, name: str) -> StudentState:
        state = StudentState(name, self._settings.student_check)
        engine = self._engine(name)
        if engine is None or not engine.is_fleet:
            state.places = [self._place(state, None, 0)]
            return state
        state.places = [self._place(state, url, number) for number, url in enumerate(engine.urls)]
        state.fleet = self.fleet_of(engine, state.places, engine.name)
        return state

    def _place(self, state: StudentState, url: str | None, number: int) -> Place:
        def changed() -> None:
            self.changes += 1
            state.changed()

        where = "" if url is None else f" at {member_label(url)}"
        opened = partial(open_student, self._settings, state.name, self._progress, only=url)
        meter_of = partial(self.meter_of, number=number)
        return Place(f"student {state.name!r}{where}", opened, meter_of, changed, self._recheck_seconds)

    def _engine(self, name: str) -> EngineSettings | None:
        try:
            return resolve_student(self._settings, name)
        except EngineNotFound:
            return None  # whoever opens it says so

    def _misfits(self, needed: Iterable[tuple[str, str, Fingerprint]]) -> Iterator[tuple[str, str]]:
        for release, student, expected in needed:
            state = self.get(student)
            for number, member in enumerate(state.fleet.members if state.fleet is not None else (), 1):
                why = state.misfit(member, expected)
                if why is not None:
                    yield f"{student}, engine {number}", f"is not asked for {release}: {why}"

    @cached_property
    def _fleet_metrics(self) -> FleetMetrics:
        return FleetMetrics(self._metrics)
