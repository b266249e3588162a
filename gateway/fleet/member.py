"""One engine of a fleet: how many calls it works on, and whether it gets more.

It gets none while its place can't be reached, after failures in a row (ejected: for a while, then one call
tries it), and for a moment after it lost a connection or asked for fewer requests.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from engine.errors import (
    EngineError,
    EngineRateLimited,
    EngineReplyInvalid,
    EngineRequestRefused,
    EngineServerError,
    EngineTimeout,
    EngineUnreachable,
)
from engine.settings_fleet import FleetSettings
from gateway.fleet.gauges import MemberSeries
from gateway.place import Place

_FAILURES = (EngineUnreachable, EngineTimeout, EngineServerError, EngineReplyInvalid)
_LONGEST_EJECTION = 60.0
_MOMENT = 0.25  # seconds in which others are asked rather, after a connection broke
_LONGEST_REST = 30.0
# An engine that held for so many of its ejections' seconds begins again with the shortest.
_FORGIVEN = 10


class Member:
    def __init__(
        self,
        place: Place,
        label: str,
        settings: FleetSettings,
        series: MemberSeries,
        now: Callable[[], float],
    ) -> None:
        self.place = place
        self.label = label
        self.in_flight = 0
        self._settings = settings
        self._series = series
        self._now = now
        self._failures = 0
        self._ejections = 0
        self._ejected_at = 0.0
        self._ejected_until: float | None = None
        self._resting_until = 0.0
        self._is_tried = False

    @property
    def is_well(self) -> bool:
        """Whether it answers, and is not ejected."""
        return self.place.up and self._ejected_until is None

    def accepts(self) -> bool:
        """Whether it may be sent a call now."""
        now = self._now()
        if not self.place.up or now < self._resting_until:
            return False
        return self._ejected_until is None or (now >= self._ejected_until and not self._is_tried)

    def enter(self) -> bool:
        """A call begins; gives whether it is the one that tries an ejected engine."""
        self.in_flight += 1
        self._series.in_flight.inc()
        if self._ejected_until is None or self._is_tried or self._now() < self._ejected_until:
            return False
        self._is_tried = True
        return True

    def leave(self, error: BaseException | None, was_trial: bool) -> None:
        """A call ends. What is no EngineError says nothing of the engine."""
        self.in_flight -= 1
        self._series.in_flight.dec()
        self._is_tried = self._is_tried and not was_trial
        if error is None or isinstance(error, EngineRequestRefused):
            self._failures = 0
            if self._ejected_until is not None:
                self._ejected_until = None
                self.show()
        elif isinstance(error, EngineRateLimited):
            self._rest(min(1.0 if error.retry_after is None else error.retry_after, _LONGEST_REST))
        elif isinstance(error, EngineError) and isinstance(error, _FAILURES):
            self._failed(error, was_trial)

    def show(self) -> None:
        """Tells the metrics whether it is among those that are asked."""
        self._series.available.set(self.is_well)

    def _failed(self, error: EngineError, was_trial: bool) -> None:
        if isinstance(error, EngineUnreachable):
            self._rest(_MOMENT)
            if self.place.served is not None:
                self.place.served.suspect.set()
        self._failures += 1
        if was_trial or (self._failures >= self._settings.eject_after and self._ejected_until is None):
            self._eject()

    def _eject(self) -> None:
        now, shortest = self._now(), self._settings.eject_seconds
        if now - self._ejected_at > _FORGIVEN * shortest:
            self._ejections = 0
        self._ejections += 1
        self._ejected_at = now
        self._ejected_until = now + min(shortest * self._ejections, max(shortest, _LONGEST_EJECTION))
        self._failures = 0
        self._series.ejections.inc()
        if self.place.served is not None:
            self.place.served.suspect.set()
        self.show()

    def _rest(self, seconds: float) -> None:
        self._resting_until = max(self._resting_until, self._now() + seconds)


def member_label(url: str) -> str:
    """Its host, port and path; a URL may hold a password."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.hostname}:{port}{parts.path.rstrip('/').removesuffix('/v1')}"
