"""The answers of one gateway process: which requests may have a kept one, and the store that has them.

A store that is gone or slow never fails a request, and is left alone for a while.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from engine.settings_cache import CacheSettings
from gateway.cache.key import Asking
from gateway.cache.remembering import Remembering, Wish
from gateway.cache.store import AnswerStore, StoreGone
from gateway.errors import Header
from gateway.metrics import Metrics
from gateway.visit import Visit

if TYPE_CHECKING:
    from gateway.accounting.cost import MeteredStudent
    from gateway.catalog import Runnable
    from gateway.protocol import ChatRequest

_log = logging.getLogger(__name__)
_REST = 5.0  # seconds in which a store that failed is not asked
_SLOWEST = 0.5  # seconds that a request waits for a store
_MOST_UNWRITTEN = 1_000  # answers; what a slow store can't take in is not kept
_LAST_WRITES = 2.0  # seconds that the end of the gateway waits for them
_LABELS = ("model", "release")


class ResponseCache:
    def __init__(
        self,
        store: AnswerStore,
        settings: CacheSettings,
        metrics: Metrics,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._rests_until = 0.0
        self._writing: set[asyncio.Task[None]] = set()
        self.flights: dict[str, asyncio.Future[bytes | None]] = {}
        """Keys that are being answered now, for who asks the same meanwhile."""
        self.hits = metrics.counter("gateway_cache_hits", "Requests answered with a kept answer.", _LABELS)
        self.misses = metrics.counter(
            "gateway_cache_misses", "Requests whose answer could have been kept and was not.", _LABELS
        )
        self.saved_usd = metrics.counter(
            "gateway_cache_saved_usd", "What the kept answers cost when they were made.", _LABELS
        )

    async def open(self) -> None:
        """Raises StartFailed."""
        await self._store.open()

    def remembering(
        self, request: ChatRequest, runnable: Runnable, student: MeteredStudent, visit: Visit
    ) -> Remembering | None:
        """What remembers the request; None where it is not one to be remembered.

        Several answers are meant to differ, and a traced request wants to see its steps.
        """
        wish = _wish_of(visit.headers)
        if wish is None or request.n > 1 or student.trace is not None:
            return None
        if self._settings.keep == "deterministic" and not _is_deterministic(request, runnable):
            return None
        asking = Asking(runnable.release, self._tenant(visit), student.max_tokens)
        return Remembering(self, asking, runnable, student, wish)

    async def find(self, key: str) -> bytes | None:
        """What is kept under the key, as far as the store can say it now."""
        if self._clock() < self._rests_until:
            return None
        try:
            async with asyncio.timeout(_SLOWEST):
                return await self._store.get(key)
        except (StoreGone, TimeoutError) as error:
            self._rest(error)
            return None

    def keep(self, key: str, value: bytes) -> None:
        """Writes it down while the request goes on."""
        if len(self._writing) >= _MOST_UNWRITTEN or self._clock() < self._rests_until:
            return
        task = asyncio.create_task(self._put(key, value), name="keep an answer")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def close(self) -> None:
        if self._writing:
            await asyncio.wait(self._writing, timeout=_LAST_WRITES)
        await self._store.close()

    def _tenant(self, visit: Visit) -> str | None:
        if self._settings.shared:
            return None
        return visit.caller.id if visit.caller is not None else ""

    async def _put(self, key: str, value: bytes) -> None:
        try:
            await self._store.put(key, value, self._settings.ttl)
        except StoreGone as error:
            self._rest(error)

    def _rest(self, error: Exception) -> None:
        self._rests_until = self._clock() + _REST
        _log.warning(
            "kept answers can't be reached, for %g s all are made anew: %s", _REST, str(error) or "too slow"
        )


def _is_deterministic(request: ChatRequest, runnable: Runnable) -> bool:
    """Whether the model would answer the same again, and nothing but the model answers."""
    if runnable.identity.kind == "interpreted":
        return False
    asked = {**runnable.sampling.as_request(), **request.upstream}
    return asked["temperature"] == 0 or asked.get("seed") is not None


def _wish_of(headers: Sequence[Header]) -> Wish | None:
    """What the client's `cache-control` lets be done; None where it wants none of this."""
    told = b",".join(value for name, value in headers if name == b"cache-control").lower()
    words = {word.strip() for word in told.split(b",")}
    if b"no-store" in words:
        return None
    return Wish.ANEW if b"no-cache" in words else Wish.ANY
