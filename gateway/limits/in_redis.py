"""Counts in a Redis or Valkey that several workers and gateways share.

All claims of a request are one script, so one round trip and all or nothing. What is settled waits in this
process and goes out in batches: nothing waits for it, and nothing is lost while Redis is gone. The clock is
Redis's own, so that machines need not agree on the time.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.limits.counting import SEAT_WAIT, Change, Claim, CountersGone, Reservation, Standing
from gateway.limits.script import Argument, Script

_log = logging.getLogger(__name__)
_HERE = Path(__file__).parent
_HOLD = 30.0  # seconds after which the seats of a worker that died are free
_RENEW = 10.0
_PAUSE = 1.0  # between two tries while Redis is gone
_BATCH = 500
_MOST_WAITING = 100_000
_LAST_TRY = 2.0

_TOLD = "This model or key is limited, and what it uses can't be counted now; the request was not run."


class _Item(NamedTuple):
    """One change on its way to Redis."""

    key: str
    arguments: tuple[Argument, ...]


class InRedis:
    """`now` stands in for Redis's clock in tests of what takes a day."""

    def __init__(self, redis: Redis, now: Callable[[], float] | None = None) -> None:
        self._redis = redis
        self._now = now
        self._reserve = Script(redis, (_HERE / "reserve.lua").read_text())
        self._settle = Script(redis, (_HERE / "settle.lua").read_text())
        self._sender = f"smallforge:limits:sender:{uuid.uuid4().hex}"
        self._batch = 1
        self._sending: list[_Item] = []
        self._writing = asyncio.Lock()
        self._waiting: deque[_Item] = deque(maxlen=_MOST_WAITING)
        self._seats: dict[str, list[Claim]] = {}
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._gone_until = 0.0

    async def open(self, windows: Sequence[str]) -> None:
        """A Redis that is not there yet keeps no gateway from starting; but its address may be wrong."""
        try:
            await self._redis.ping()
        except (RedisError, OSError) as error:
            _log.error("the Redis of the limits can't be asked yet: %r", error)

    async def reserve(self, id: str, claims: Sequence[Claim]) -> Reservation:
        if time.monotonic() < self._gone_until:
            raise CountersGone(_TOLD)
        keys = [_key(claim) for claim in claims]
        try:
            answer = await self._reserve(keys, [id, _HOLD, self._time(), *_arguments(claims)])
        except (RedisError, OSError) as error:
            # Requests that come meanwhile don't each wait for the same silence.
            self._gone_until = time.monotonic() + _PAUSE
            _log.error("limits can't be counted, Redis failed: %r", error)
            raise CountersGone(_TOLD) from error
        at, *rest = map(float, answer)
        standings = [Standing(bool(granted), left, seconds) for granted, left, seconds in _triples(rest)]
        reservation = Reservation(at, standings)
        if reservation.granted:
            self._hold(id, claims)
        return reservation

    def settle(self, id: str, changes: Sequence[Change]) -> None:
        self._seats.pop(id, None)
        if len(self._waiting) + len(changes) > _MOST_WAITING:
            _log.error("Redis was gone for too long: the oldest of what is to be settled is forgotten")
        for change in changes:
            claim = change.claim
            arguments = (claim.kind, claim.limit, change.amount, change.since, claim.ends, id)
            self._waiting.append(_Item(_key(claim), arguments))
        self._start()
        self._wake.set()

    async def write(self) -> None:
        """Sends what waits; a batch that may have arrived is sent again, the same under the same number.

        Raises RedisError or OSError while Redis is gone.
        """
        self._wake.clear()
        async with self._writing:
            while self._sending or self._waiting:
                count = 0 if self._sending else min(len(self._waiting), _BATCH)
                self._sending += [self._waiting.popleft() for _ in range(count)]
                keys = [self._sender, *(item.key for item in self._sending)]
                arguments = [argument for item in self._sending for argument in item.arguments]
                await self._settle(keys, [self._batch, _HOLD, self._time(), *arguments])
                self._batch += 1
                self._sending.clear()

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            with suppress(asyncio.CancelledError):
                await self._writer
        try:
            async with asyncio.timeout(_LAST_TRY):
                await self.write()
        except (RedisError, OSError, TimeoutError) as error:
            unwritten = len(self._sending) + len(self._waiting)
            _log.error("%d changes of limits were not written: %r", unwritten, error)
        with suppress(RedisError, OSError):
            await self._redis.aclose()

    def _hold(self, id: str, claims: Sequence[Claim]) -> None:
        seats = [claim for claim in claims if claim.kind == "seats"]
        if seats:
            self._seats[id] = seats
            self._start()

    def _start(self) -> None:
        if self._writer is None:
            self._writer = asyncio.create_task(self._keep_writing(), name="limits")

    async def _keep_writing(self) -> None:
        renewed, gone = time.monotonic(), False
        while True:
            if not gone:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_RENEW):
                        await self._wake.wait()
            if time.monotonic() - renewed >= _RENEW:
                renewed = time.monotonic()
                self._renew()
            try:
                await self.write()
                if gone:
                    _log.warning("Redis is back; what was to be settled is written")
                gone = False
            except (RedisError, OSError) as error:
                if not gone:
                    _log.error("Redis is gone, what is to be settled waits: %r", error)
                gone = True
                await asyncio.sleep(_PAUSE)

    def _renew(self) -> None:
        """Keeps the seats of requests that still run."""
        for id, seats in self._seats.items():
            self._waiting += [_Item(_key(seat), ("hold", seat.limit, 0, 0, 0, id)) for seat in seats]

    def _time(self) -> Argument:
        return "" if self._now is None else repr(self._now())


def _key(claim: Claim) -> str:
    window = f":{claim.window}" if claim.window else ""
    return f"smallforge:limits:{claim.counter}{window}"


def _arguments(claims: Sequence[Claim]) -> Iterator[Argument]:
    for claim in claims:
        yield from (claim.kind, claim.limit, claim.amount, claim.ends, SEAT_WAIT)


def _triples(numbers: Sequence[float]) -> Iterator[tuple[float, float, float]]:
    for at in range(0, len(numbers), 3):
        yield numbers[at], numbers[at + 1], numbers[at + 2]
