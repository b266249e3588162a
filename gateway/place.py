"""One place where a student runs: opened, watched for change, opened again after it was lost.

A task looks every minute, and after a broken connection, whether the same model still answers there. Knows
nothing of requests; a request sees a place only through its `ServedStudent`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from engine.client import EngineClient
from engine.errors import EngineError, EngineNotFound, EngineNotInstalled, EngineStartFailed
from engine.fingerprint import Fingerprint, take_fingerprint
from engine.hosted import HostedClient
from engine.local import Student
from engine.prices import HourlyMeter, Price, price_of
from engine.settings import EngineSettings

if TYPE_CHECKING:
    from gateway.fleet.fleet import Fleet
    from gateway.fleet.route import Route

_log = logging.getLogger(__name__)

_FAILED_CHECKS = 5
# What only another configuration or installation can mend.
HOPELESS = (EngineNotFound, EngineNotInstalled, EngineStartFailed)


class Asked(NamedTuple):
    """A student and what is called of it: its client, or the way of one request through its engines."""

    served: ServedStudent
    model: EngineClient | HostedClient | Route


@dataclass
class ServedStudent:
    """An open student as requests use it. One that runs on a fleet has no meter of its own."""

    student: Student
    price: Price | None
    meter: HourlyMeter | None
    fingerprint: Fingerprint
    reachable: bool = True
    suspect: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by a request whose connection broke: another model may come up at that address."""
    returns: int = 0
    """How often it could be reached again after it could not."""
    fleet: Fleet | None = None

    def asked_for(self, key: str, expected: Fingerprint | None) -> Asked:
        """What one request asks. Those of one `key` begin alike, and need the model with this fingerprint."""
        if self.fleet is None:
            return Asked(self, self.student.client)
        return Asked(self, self.fleet.route(key, expected))

    def engines_for(self, key: str, expected: Fingerprint) -> list[ServedStudent]:
        """Each engine that such requests may be sent to now, by itself, the one they prefer first."""
        return [self] if self.fleet is None else self.fleet.engines_for(key, expected)


async def fingerprint_now(served: ServedStudent) -> Fingerprint:
    """Which model answers where the student does. Raises EngineError."""
    return await take_fingerprint(served.student.client, served.student.fingerprint.weights)


@dataclass
class Place:
    """`open_it` opens the student here, `look` says which model is there now.

    `changed` is called whenever it opens, fails or turns into another.

    `served` is there while it is open, `last` from the first time on.
    """

    name: str
    open_it: Callable[[], AbstractAsyncContextManager[Student]]
    meter_of: Callable[[EngineSettings], HourlyMeter | None]
    changed: Callable[[], None]
    recheck_seconds: float
    look: Callable[[ServedStudent], Awaitable[Fingerprint]] = fingerprint_now
    served: ServedStudent | None = None
    last: ServedStudent | None = None
    error: EngineError | None = None
    tried: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def up(self) -> bool:
        return self.served is not None and self.served.reachable

    @property
    def trouble(self) -> str | None:
        """Why it can't be asked now."""
        if self.served is None:
            return "can't be used; the gateway's log says why" if self.error else "is being opened"
        return None if self.served.reachable else "can't be reached"

    async def keep(self) -> None:
        """Opens the student and stays with it; comes back to one that can't be reached yet."""
        while True:
            try:
                async with self.open_it() as student:
                    self._opened(student)
                    await self._watch()
            except EngineError as error:
                self._failed(error)
                if isinstance(error, HOPELESS):
                    return
                await asyncio.sleep(2 if error.retryable else 15)

    def _opened(self, student: Student) -> None:
        price = price_of(student.engine)
        if price is None:
            _log.warning("engine %r has no price; costs of its requests are unknown", student.engine.name)
        returns = self.last.returns + 1 if self.last is not None else 0
        self.served = self.last = ServedStudent(
            student, price, self.meter_of(student.engine), student.fingerprint, returns=returns
        )
        self.error = None
        self.tried.set()
        self.changed()

    def _failed(self, error: EngineError) -> None:
        if self.error is None or str(self.error) != str(error):
            _log.error("%s can't be used: %s", self.name, error)
        self.served, self.error = None, error
        if self.last is not None:
            self.last.reachable = False
        self.tried.set()
        self.changed()

    async def _watch(self) -> None:
        """Takes the fingerprint again and again; ends with the error of a student that is gone."""
        served = self.served
        assert served is not None, "a student is watched after it was opened"
        if isinstance(served.student.client, HostedClient):
            # Its name is all there is to check, and each look would cost money.
            await asyncio.Event().wait()
        pause, failures = self.recheck_seconds, 0
        while True:
            try:
                await asyncio.wait_for(served.suspect.wait(), pause)
            except TimeoutError:
                pass
            served.suspect.clear()
            try:
                now = await self.look(served)
            except EngineError as error:
                if served.reachable:
                    _log.error("%s can't be reached for its check: %s", self.name, error)
                    served.reachable = False
                    self.changed()
                pause, failures = 1.0, failures + 1
                if failures == _FAILED_CHECKS:
                    # Opened again, it may be found at another address, or be a local engine started anew.
                    raise
                continue
            is_news = not served.reachable or now != served.fingerprint
            served.returns += not served.reachable
            served.fingerprint, served.reachable = now, True
            if is_news:
                self.changed()
            pause, failures = self.recheck_seconds, 0
