"""Limits under two hundred requests at once, and over a minute."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.limits.counting import Change
from gateway.limits.in_redis import InRedis
from gateway.stores.redis import open_redis
from tests.engine.clock import Clock
from tests.gateway.limits.places import Place, seat
from tests.gateway.limits.stampede import check_budget
from tests.gateway.upstream import Script, running_upstream
from tests.integration.redis_server import running_redis
from tests.integration.test_limits_of_gateways import gateways


def test_a_budget_holds_under_two_hundred_requests_at_once(tmp_path: Path) -> None:
    """Each costs 0.135 USD and may cost 0.24."""
    (folder := tmp_path / "redis").mkdir()
    lines = "[limits.quiz]\nusd_per_day = 5.0"
    with (
        running_upstream() as upstream,
        running_redis(folder) as redis,
        gateways(2, tmp_path, upstream, redis, lines) as both,
    ):
        upstream.reset(Script(seconds=0.5))
        herd = check_budget(5.0, 200, [gateway.url for gateway in both])
    assert 20 < herd.statuses[200] < 40


async def test_a_request_that_runs_for_long_keeps_its_seat(tmp_path: Path) -> None:
    """A seat is lent for half a minute, for the sake of workers that die, and lent again."""
    with running_redis(tmp_path) as redis:
        counting = InRedis(open_redis(redis.url))
        place = Place(counting, Clock(), counting.write)
        id, reserved = await place.ask(seat(limit=1))
        await asyncio.sleep(65)
        assert not await place.granted(seat(limit=1))
        await place.settle(id, Change(seat(limit=1), 0, reserved.at))
        assert await place.granted(seat(limit=1))
        await counting.close()
