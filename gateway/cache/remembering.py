"""One request's kept answer: looked for before its program runs, and left behind once it has answered.

Streamed or not makes no difference: both are told from the same outputs. Who asks for what another request is
being answered waits for that answer, if neither is a stream.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any

from gateway.cache.kept import Kept, KeptInvalid, pieces_of, read_kept, write_kept
from gateway.cache.key import Asking
from gateway.errors import Header
from gateway.protocol import TokenCounts
from programs.execution import Outcome
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
    __slots__ = ("_asking", "_cache", "_key", "_labels", "_runnable", "_student", "_wish", "hit")

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
        self._key: str | None = None
        self.hit = False

    def header(self) -> Header:
        return b"x-smallforge-cache", b"hit" if self.hit else b"miss"

    async def outcome(
        self, inputs: Mapping[str, Any], params: Mapping[str, object], run: Callable[[], Awaitable[Outcome]]
    ) -> Outcome:
        """What is kept, or what the run gives."""
        self._key = self._asking.key(inputs, params)
        kept = await self._find() or await self._await_another()
        if kept is not None:
            return self._book(kept)
        self._count_miss()
        with self._flight() as landing:
            outcome = await run()
            landing.append(self.keep(outcome))
            return outcome

    async def find(self, inputs: Mapping[str, Any], params: Mapping[str, object]) -> Outcome | None:
        """What is kept; nobody waits for another's stream, because who reads that may be slow."""
        self._key = self._asking.key(inputs, params)
        kept = await self._find()
        if kept is not None:
            return self._book(kept)
        self._count_miss()
        return None

    def keep(self, outcome: Outcome) -> bytes | None:
        """Leaves the answer for others, if it is whole; gives what they will read."""
        data = write_kept(outcome, self._student.usd) if self._key is not None else None
        if self._key is not None and data is not None:
            self._cache.keep(self._key, data)
        return data

    def pieces(self, outcome: Outcome) -> Iterator[FieldDelta]:
        """The texts of a kept answer as a stream has them."""
        return pieces_of(outcome.outputs, self._runnable.executor.outputs)

    async def _find(self) -> Kept | None:
        if self._key is None or self._wish is Wish.ANEW:
            return None
        return self._read(await self._cache.find(self._key))

    async def _await_another(self) -> Kept | None:
        """The answer to the same request that is under way; None where there is none, or it failed."""
        if self._key is None or self._wish is Wish.ANEW:
            return None
        flight = self._cache.flights.get(self._key)
        # Whoever stops waiting must not end it for the others.
        return None if flight is None else self._read(await asyncio.shield(flight))

    @contextmanager
    def _flight(self) -> Generator[list[bytes | None]]:
        """While this request is the one that answers; what is put into the list is what others get."""
        landing: list[bytes | None] = []
        key = self._key
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

    def _book(self, kept: Kept) -> Outcome:
        """Nothing was taken from the engine, and what the answer once cost was saved."""
        self.hit = True
        self._student.tokens = _NOTHING
        self._cache.hits.labels(*self._labels).inc()
        if kept.usd is not None:
            self._cache.saved_usd.labels(*self._labels).inc(kept.usd)
        return kept.outcome
