"""Answers in Redis or Valkey: several machines share them. It forgets by its own maxmemory-policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from gateway.cache.store import StoreGone

if TYPE_CHECKING:
    from redis.asyncio import Redis

_PREFIX = "smallforge:answer:"


class InRedis:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def open(self) -> None:
        """Connects when it is first asked: a gateway serves without its cache."""

    async def get(self, key: str) -> bytes | None:
        try:
            found = await self._redis.get(_PREFIX + key)
        except (RedisError, OSError) as error:
            raise StoreGone(str(error)) from error
        return found.encode() if isinstance(found, str) else found

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        try:
            await self._redis.set(_PREFIX + key, value, px=max(1, int(seconds * 1000)))
        except (RedisError, OSError) as error:
            raise StoreGone(str(error)) from error

    async def close(self) -> None:
        await self._redis.aclose()
