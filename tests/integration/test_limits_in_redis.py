"""Limits that several gateways share, on a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from redis.asyncio import Redis

from gateway.limits.counting import Change, CountersGone
from gateway.limits.in_redis import InRedis
from gateway.stores.redis import open_redis
from tests.engine.clock import Clock
from tests.gateway.limits.places import SCENARIOS, Place, rate, seat, usd
from tests.integration.redis_server import RedisServer, running_redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    async with open_redis(server.url) as redis:
        await redis.flushall()
        yield redis


@pytest.fixture
async def place(redis: Redis, server: RedisServer) -> AsyncIterator[Place]:
    clock = Clock()
    counting = InRedis(open_redis(server.url), clock)
    yield Place(counting, clock, counting.write)
    await counting.close()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_on_a_redis(scenario: Callable[[Place], Awaitable[None]], place: Place) -> None:
    await scenario(place)
