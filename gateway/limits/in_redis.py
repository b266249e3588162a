"""Counts in a Redis or Valkey that several workers and gateways share.

All claims of a request are one script, so one round trip and all or nothing. The clock is Redis's own:
machines need not agree on the time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.limits.counting import SEAT_WAIT, Change, Claim, CountersGone, Reservation, Standing
from gateway.limits.script import Argument, Script
from gateway.limits.settling import HOLD, PAUSE, Settling, key_of

_log = logging.getLogger(__name__)
_HERE = Path(__file__).parent
_LONGEST_SILENCE = 10.0  # seconds; the client of Redis gives up long before
_TOLD = "This model or key is limited, and what it uses can't be counted now; the request was not run."


class InRedis:
    """`now` stands in for Redis's clock in tests of what takes a day."""

    def __init__(self, redis: Redis, now: Callable[[], float] | None = None) -> None:
        self._redis = redis
        self._now = now
        self._reserve = Script(redis, (_HERE / "reserve.lua").read_text())
        self._settling = Settling(Script(redis, (_HERE / "settle.lua").read_text()), self._time)
        self._gone_until = 0.0

    async def open(self, windows: Sequence[str]) -> None:
        """A Redis that is not there yet keeps no gateway from starting; but its address may be wrong."""
        try:
            await self._redis.ping()
        except (RedisError, OSError) as error:
            _log.error("the Redis of the limits can't be asked yet: %r", error)

    async def reserve(self, id: str, claims: Sequence[Claim]) -> Reservation:
        now = time.monotonic()
        if now < self._gone_until:
            raise CountersGone(_TOLD)
        if self._gone_until:
            # This one asks whether it is back; those that come meanwhile don't wait for the same silence.
            self._gone_until = now + _LONGEST_SILENCE
        expected = self._gone_until
        keys = [key_of(claim) for claim in claims]
        try:
            answer = await self._reserve(keys, [id, HOLD, self._time(), *_arguments(claims)])
        except (RedisError, OSError) as error:
            if self._gone_until == expected:  # of those that failed together one is told
                _log.error("limits can't be counted, Redis failed: %r", error)
            self._gone_until = time.monotonic() + PAUSE
            raise CountersGone(_TOLD) from error
        self._gone_until = 0.0
        at, *rest = map(float, answer)
        reservation = Reservation(at, [Standing(bool(it), left, wait) for it, left, wait in _triples(rest)])
        if reservation.granted:
            self._settling.hold(id, claims)
        return reservation

    def settle(self, id: str, changes: Sequence[Change]) -> None:
        self._settling.add(id, changes)

    async def write(self) -> None:
        """Settles now what waits for it. Raises RedisError or OSError while Redis is gone."""
        await self._settling.write()

    async def close(self) -> None:
        await self._settling.close()
        with suppress(RedisError, OSError):
            await self._redis.aclose()

    def _time(self) -> Argument:
        return "" if self._now is None else repr(self._now())


def _arguments(claims: Sequence[Claim]) -> Iterator[Argument]:
    for claim in claims:
        yield from (claim.kind, claim.limit, claim.amount, claim.ends, SEAT_WAIT)


def _triples(numbers: Sequence[float]) -> Iterator[tuple[float, float, float]]:
    for at in range(0, len(numbers), 3):
        yield numbers[at], numbers[at + 1], numbers[at + 2]
