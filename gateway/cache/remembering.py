"""Runs one request's program, or gives the answer that it gave before; stands where the executor would.

Streamed or not makes no difference: both are told from the same outputs, and both leave them behind once they
are whole. Who asks for what another request is being answered waits for that answer, if neither is a stream.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any

from gateway.cache.kept import Kept, KeptInvalid, read_kept, write_kept
from gateway.cache.key import Asking
from gateway.errors import Header
from gateway.protocol import TokenCounts
from programs.execution import Model, Outcome
from programs.reader import FieldDelta

if TYPE_CHECKING:
    from gateway.accounting.cost import MeteredStudent
    from gateway.cache.cache import ResponseCache
    from gateway.catalog import Runnable

_log = logging.getLogger(__name__)
_NOTHING = TokenCounts(0, 0)


class Wish(Enum):
    """A kept answer may be given, or it must be a new one, which is then kept."""

    ANY = "any"
    ANEW = "anew"


class Remembering:
    __slots__ = ("_asking", "_cache", "_labels", "_runnable", "_student", "_wish", "hit")

    def __init__(
        self,
        cache: ResponseCache,
        asking: Asking,
        runnable: Runnable,
        student: MeteredStudent,
        wish: Wish,
    ) -> None:
        self._cache = cache
        self._asking = asking
        self._runnable = runnable
        self._student = student
        self._wish = wish
        self._labels = (runnable.identity.program, runnable.identity.version)
        self.hit = False

    def header(self) -> Header:
        return b"x-smallforge-cache", b"hit" if self.hit else b"miss"

    async def run(self, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]) -> Outcome:
        key = self._asking.key(inputs, params)
        kept = await self._find(key) or await self._await_another(key)
        if kept is not None:
            return self._again(kept)
        self._count_miss()
        with self._flight(key) as landing:
            outcome = await self._runnable.executor.run(inputs, model, params)
            landing.append(self._keep(key, outcome))
            return outcome

    async def stream(
        self, inputs: Mapping[str, Any], model: Model, params: Mapping[str, object]
    ) -> AsyncGenerator[FieldDelta | Outcome]:
        executor = self._runnable.executor
        key = self._asking.key(inputs, params)
        kept = await self._find(key)
        if kept is not None:
            outcome = self._again(kept)
            for piece in kept.pieces(executor.outputs):
                yield piece
            yield outcome
            return
        # Nobody waits for a stream: who reads it may be slow.
        self._count_miss()
        async with aclosing(executor.stream(inputs, model, params)) as pieces:
            async for part in pieces:
                if isinstance(part, Outcome):
                    self._keep(key, part)
                yield part

    async def _find(self, key: str | None) -> Kept | None:
        if key is None or self._wish is Wish.ANEW:
            return None
        return self._read(await self._cache.find(key))

    async def _await_another(self, key: str | None) -> Kept | None:
        """The answer to the same request that is under way; None where there is none, or it failed."""
        flight = self._cache.flights.get(key) if key is not None and self._wish is Wish.ANY else None
        # Whoever stops waiting must not end it for the others.
        return None if flight is None else self._read(await asyncio.shield(flight))

    @contextmanager
    def _flight(self, key: str | None) -> Generator[list[bytes | None]]:
        """While this request is the one that answers; what is put into the list is what others get."""
        landing: list[bytes | None] = []
        if key is None or key in self._cache.flights:
            yield landing
            return
        flight = self._cache.flights[key] = asyncio.get_running_loop().create_future()
        try:
            yield landing
        finally:
            del self._cache.flights[key]
            flight.set_result(landing[0] if landing else None)

    def _count_miss(self) -> None:
        self._cache.misses.labels(*self._labels).inc()

    def _read(self, data: bytes | None) -> Kept | None:
        if data is None:
            return None
        try:
            return read_kept(data, self._runnable.executor.outputs)
        except KeptInvalid as error:
            _log.error("a kept answer of %s is not used: %s", self._runnable.release, error)
            return None

    def _again(self, kept: Kept) -> Outcome:
        """Books a kept answer: nothing was taken from the engine, and what it once cost was saved."""
        self.hit = True
        self._student.tokens = _NOTHING
        self._cache.hits.labels(*self._labels).inc()
        if kept.usd is not None:
            self._cache.saved_usd.labels(*self._labels).inc(kept.usd)
        return kept.outcome

    def _keep(self, key: str | None, outcome: Outcome) -> bytes | None:
        data = write_kept(outcome, self._student.usd) if key is not None else None
        if key is not None and data is not None:
            self._cache.keep(key, data)
        return data
