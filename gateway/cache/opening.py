"""Which store keeps the answers; its library is imported here, where one is chosen, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from engine.settings import GatewaySettings
from engine.settings_cache import CacheSettings, StoreName

if TYPE_CHECKING:
    from gateway.cache.cache import ResponseCache
    from gateway.cache.store import AnswerStore
    from gateway.metrics import Metrics

_IN_MEMORY = 64 * 1024 * 1024  # bytes, where none are named
_IN_A_FILE = 1024 * 1024 * 1024


def open_cache(gateway: GatewaySettings, metrics: Metrics) -> ResponseCache | None:
    """The answers of this process; None where none are kept. Raises StartFailed without a store's library."""
    if gateway.cache is None:
        return None
    from gateway.cache.cache import ResponseCache

    return ResponseCache(STORES[gateway.cache.store](gateway.cache, gateway.redis), gateway.cache, metrics)


def _memory(settings: CacheSettings, redis: str | None) -> AnswerStore:
    from gateway.cache.in_memory import InMemory

    return InMemory(settings.max_bytes or _IN_MEMORY)


def _sqlite(settings: CacheSettings, redis: str | None) -> AnswerStore:
    from gateway.stores.opening import open_database

    database = open_database(settings.file)
    from gateway.cache.in_sqlite import InSqlite

    return InSqlite(database, settings.max_bytes or _IN_A_FILE)


def _redis(settings: CacheSettings, redis: str | None) -> AnswerStore:
    from gateway.stores.redis import open_redis

    assert redis is not None, "the configuration is refused without one"
    client = open_redis(redis)
    from gateway.cache.in_redis import InRedis

    return InRedis(client)


STORES: Mapping[StoreName, Callable[[CacheSettings, str | None], AnswerStore]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "redis": _redis,
}
