"""What Redis is still to be told of requests that are over: it waits here and goes out in batches.

Nothing waits for it, nothing is lost while Redis is gone, and nothing counts twice: a batch that may have
arrived is sent again as it was, under the same number, and Redis takes each number once.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from redis.exceptions import RedisError

from gateway.limits.counting import Change, Claim
from gateway.limits.script import Argument, Script

_log = logging.getLogger(__name__)

HOLD = 30.0
"""Seconds after which the seats of a worker that died are free."""
PAUSE = 1.0
"""Seconds between two tries while Redis is gone."""
_RENEW = 10.0
_BATCH = 500
_MOST_WAITING = 100_000
_LAST_TRY = 2.0


class _Item(NamedTuple):
    key: str
    arguments: tuple[Argument, ...]


class Settling:
    """`clock` gives the time as the script takes it."""

    def __init__(self, script: Script, clock: Callable[[], Argument]) -> None:
        self._script = script
        self._clock = clock
        self._sender = f"smallforge:limits:sender:{uuid.uuid4().hex}"
        self._batch = 1
        self._sending: list[_Item] = []
        self._writing = asyncio.Lock()
        self._waiting: deque[_Item] = deque(maxlen=_MOST_WAITING)
        self._seats: dict[str, list[Claim]] = {}
        self._wake = asyncio.Event()
        self._forgotten = 0
        self._writer: asyncio.Task[None] | None = None

    def hold(self, id: str, claims: Sequence[Claim]) -> None:
        """From now on the seats among a request's claims are renewed, until they are settled."""
        seats = [claim for claim in claims if claim.kind == "seats"]
        if seats:
            self._seats[id] = seats
            self._start()

    def add(self, id: str, changes: Sequence[Change]) -> None:
        self._seats.pop(id, None)
        for change in changes:
            claim = change.claim
            arguments = (claim.kind, claim.limit, change.amount, change.since, claim.ends, id)
            self._wait(_Item(key_of(claim), arguments))
        self._start()
        self._wake.set()

    async def write(self) -> None:
        """Sends what waits. Raises RedisError or OSError while Redis is gone."""
        self._wake.clear()
        async with self._writing:
            while self._sending or self._waiting:
                count = 0 if self._sending else min(len(self._waiting), _BATCH)
                self._sending += [self._waiting.popleft() for _ in range(count)]
                keys = [self._sender, *(item.key for item in self._sending)]
                arguments = [argument for item in self._sending for argument in item.arguments]
                await self._script(keys, [self._batch, HOLD, self._clock(), *arguments])
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
            unwritten = len(self._sending) + len(self._waiting) + self._forgotten
            _log.error("%d changes of limits were not written: %r", unwritten, error)

    def _wait(self, item: _Item) -> None:
        if len(self._waiting) == _MOST_WAITING:
            if not self._forgotten:
                _log.error("Redis is gone for too long: the oldest of what is to be settled is forgotten")
            self._forgotten += 1
        self._waiting.append(item)

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
            except (RedisError, OSError) as error:
                if not gone:
                    _log.error("Redis is gone, what is to be settled waits: %r", error)
                gone = True
                await asyncio.sleep(PAUSE)
                continue
            if gone:
                but = f" but for {self._forgotten} changes that are forgotten" if self._forgotten else ""
                _log.warning("Redis is back, what was to be settled is written%s", but)
                self._forgotten = 0
            gone = False

    def _renew(self) -> None:
        """Keeps the seats of requests that still run."""
        for id, seats in self._seats.items():
            for seat in seats:
                self._wait(_Item(key_of(seat), ("hold", seat.limit, 0, 0, 0, id)))


def key_of(claim: Claim) -> str:
    """The name of a claim's counter in Redis."""
    window = f":{claim.window}" if claim.window else ""
    return f"smallforge:limits:{claim.counter}{window}"
