"""Kept answers on a real Redis, which two gateways share and which may go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cache.in_redis import InRedis
from gateway.cache.store import StoreGone
from gateway.stores.redis import open_redis
from tests.gateway.cache.asking import asking
from tests.gateway.serving import (
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.upstream import Upstream, running_upstream
from tests.integration.redis_server import RedisServer, running_redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running_upstream() as upstream:
        yield upstream


async def test_what_was_put_is_got_until_its_time_is_over(server: RedisServer) -> None:
    store = InRedis(open_redis(server.url))
    await store.put("a", b'{"x": 1}', 60)
    assert await store.get("a") == b'{"x": 1}' and await store.get("b") is None
    async with open_redis(server.url) as redis:
        assert 59_000 < await redis.pttl("smallforge:answer:a") <= 60_000
    await store.close()


async def test_a_redis_that_is_not_there_is_gone() -> None:
    store = InRedis(open_redis("redis://127.0.0.1:1"))
    for call in (store.get("a"), store.put("a", b"1", 1)):
        with pytest.raises(StoreGone):
            await call
    await store.close()


def test_two_gateways_share_answers_and_serve_on_while_redis_is_gone(
    server: RedisServer, upstream: Upstream, tmp_path: Path
) -> None:
    put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    table = f'redis = "{server.url}"\n[gateway.cache]\nstore = "redis"'
    settings = settings_for(tmp_path, upstream.url, gateway=table)
    with running_gateway(settings) as one, running_gateway(settings) as other:
        with asking(one.url, "q") as asker:
            asker.whole()
            assert asker.cache == "miss"
        with asking(other.url, "q") as asker:
            # The first gateway writes its answer down while it replies.
            wait_until(lambda: bool(asker.streamed()) and asker.cache == "hit")
            server.kill()
            assert asker.whole().choices[0].message.content == "forty-two"
            assert asker.cache == "miss"
        server.start()
