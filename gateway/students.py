"""The students that releases name: opened once, watched for change, priced.

Each student has one task that opens it, looks every minute (and after a broken connection) whether it is
still the same model, and closes it. Knows nothing of requests; a request sees a student only through its
`ServedStudent`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.errors import EngineError, EngineNotFound, EngineNotInstalled, EngineStartFailed
from engine.fingerprint import Fingerprint, Mismatch, compare, take_fingerprint
from engine.local import Student, open_student
from engine.prices import HourlyMeter, Price, price_of
from engine.settings import EngineSettings, Settings
from gateway.errors import ModelUnavailable
from gateway.metrics import Metrics, ReleaseMetrics
from gateway.shared import Shared

_log = logging.getLogger(__name__)

_FAILED_CHECKS = 5
# What only another configuration or installation can mend.
_HOPELESS = (EngineNotFound, EngineNotInstalled, EngineStartFailed)


@dataclass
class ServedStudent:
    """An open student as requests use it."""

    student: Student
    price: Price | None
    meter: HourlyMeter | None
    fingerprint: Fingerprint
    reachable: bool = True
    suspect: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by a request whose connection broke: another model may come up at that address."""
    returns: int = 0
    """How often it could be reached again after it could not."""


@dataclass
class StudentState:
    """What is known of one logical student; `served` is there once it is open."""

    name: str
    check: Literal["strict", "warn"]
    served: ServedStudent | None = None
    trouble: str | None = None
    error: EngineError | None = None
    tried: asyncio.Event = field(default_factory=asyncio.Event)

    def refusal(
        self, release: str, expected: Fingerprint, metrics: ReleaseMetrics
    ) -> ModelUnavailable | None:
        """Why a release may not run on this student now, if so. Differences are logged and counted."""
        if self.served is None:
            return ModelUnavailable(self.trouble or f"Student {self.name!r} is not up yet.", retry=True)
        mismatches = compare(expected, self.served.fingerprint)
        for mismatch in mismatches:
            _log.warning("release %s, student %r: %s", release, self.name, mismatch.sentence)
            metrics.count_mismatch(mismatch.kind)
        refused = [m.sentence for m in mismatches if self._refuses(m)]
        if not refused:
            return None
        return ModelUnavailable(f"Release {release!r} was built for another student. {' '.join(refused)}")

    def _refuses(self, mismatch: Mismatch) -> bool:
        # Other weights behind the same template are usually another quantisation: a warning will do.
        return self.check == "strict" and mismatch.kind == "template"


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
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._meters: dict[str, HourlyMeter] = {}

    def get(self, name: str) -> StudentState:
        if name not in self._states:
            self._states[name] = StudentState(name, self._settings.student_check)
        return self._states[name]

    def want(self, names: Iterable[str]) -> None:
        """Begins to open what is not open yet."""
        for name in names:
            if name not in self._keepers:
                self._keepers[name] = asyncio.create_task(self._keep(self.get(name)), name=f"student {name}")

    async def first_tries(self) -> None:
        """Waits until every wanted student was tried once.

        Raises:
            EngineError: none can be had, and waiting would not mend it.
        """
        states = [self.get(name) for name in self._keepers]
        for state in states:
            await state.tried.wait()
        hopeless = [state.error for state in states if isinstance(state.error, _HOPELESS)]
        if hopeless and len(hopeless) == len(states):
            raise hopeless[0]

    def troubles(self) -> Mapping[str, str]:
        """Students that can't be used now, with the reason."""
        troubles = {}
        for name, state in self._states.items():
            if state.served is None:
                troubles[name] = state.trouble or "is being opened"
            elif not state.served.reachable:
                troubles[name] = "can't be reached"
        return troubles

    def meter_of(self, engine: EngineSettings) -> HourlyMeter | None:
        """The one meter of an engine that is priced by the hour, for all that run on it."""
        if engine.usd_per_hour is None:
            return None
        if engine.name not in self._meters:
            sheet = None if self._shared is None else self._shared.sheet(engine.name)
            self._meters[engine.name] = HourlyMeter(engine.usd_per_hour, sheet=sheet)
        return self._meters[engine.name]

    def settle(self) -> None:
        """Books the idle time of engines priced by the hour up to now."""
        for engine, meter in self._meters.items():
            self._metrics.idle_cost.labels(engine).inc(meter.take_idle_usd())

    async def close(self) -> None:
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)

    async def _keep(self, state: StudentState) -> None:
        """Opens a student and stays with it; comes back to one that can't be reached yet."""
        while True:
            try:
                async with open_student(self._settings, state.name, self._progress) as student:
                    self._opened(state, student)
                    await self._watch(state)
            except EngineError as error:
                self._failed(state, error)
                if isinstance(error, _HOPELESS):
                    return
                await asyncio.sleep(2 if error.retryable else 15)

    def _opened(self, state: StudentState, student: Student) -> None:
        price = price_of(student.engine)
        if price is None:
            _log.warning("engine %r has no price; costs of its requests are unknown", student.engine.name)
        state.served = ServedStudent(student, price, self.meter_of(student.engine), student.fingerprint)
        state.trouble = state.error = None
        state.tried.set()
        self.changes += 1

    def _failed(self, state: StudentState, error: EngineError) -> None:
        if state.trouble != str(error):
            _log.error("student %r can't be used: %s", state.name, error)
        state.served, state.error = None, error
        state.trouble = f"Student {state.name!r} can't be used now; the gateway's log says why."
        state.tried.set()
        self.changes += 1

    async def _watch(self, state: StudentState) -> None:
        """Takes the fingerprint again and again; ends with the error of a student that is gone."""
        served = state.served
        assert served is not None, "a student is watched after it was opened"
        pause, failures = self._recheck_seconds, 0
        while True:
            try:
                await asyncio.wait_for(served.suspect.wait(), pause)
            except TimeoutError:
                pass
            served.suspect.clear()
            try:
                now = await take_fingerprint(served.student.client, served.student.fingerprint.weights)
            except EngineError as error:
                if served.reachable:
                    _log.error("student %r can't be reached for its check: %s", state.name, error)
                served.reachable = False
                pause, failures = 1.0, failures + 1
                if failures == _FAILED_CHECKS:
                    # Opened again, it may be found at another of its URLs, or be a local engine started anew.
                    raise
                continue
            if not served.reachable or now != served.fingerprint:
                self.changes += 1
            served.returns += not served.reachable
            served.fingerprint, served.reachable = now, True
            pause, failures = self._recheck_seconds, 0
