"""Limits that several gateways share, on a real Redis."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.limits.counting import Change, Claim, CountersGone
from gateway.limits.in_process import InProcess
from gateway.limits.in_redis import InRedis
from gateway.stores.redis import open_redis
from tests.engine.clock import Clock
from tests.gateway.limits.places import DAY, SCENARIOS, Place, rate, seat, usd
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


async def test_both_places_that_count_say_the_same(place: Place) -> None:
    """Whatever is asked, corrected and given back, in whatever order."""
    dice, twin = random.Random(7), Place(InProcess(place.clock), place.clock)
    running: list[tuple[str, Sequence[Claim], float]] = []
    for _ in range(300):
        place.clock.seconds += dice.choice([0, 0, dice.random() * 20])
        if running and dice.random() < 0.4:
            id, claims, at = running.pop(dice.randrange(len(running)))
            changes = [Change(claim, dice.uniform(-claim.amount, claim.amount / 2), at) for claim in claims]
            await place.settle(id, *changes)
            await twin.settle(id, *changes)
            continue
        day = int(place.clock.seconds / DAY)
        claims = [
            rate(dice.randint(1, 30)),
            rate(dice.random(), 5, "requests"),
            usd(dice.random() / 20, day=day),
        ]
        claims = dice.sample(claims, dice.randint(1, 3))
        (id, here), (_, there) = await place.ask(*claims), await twin.ask(*claims)
        for one, other in zip(here.standings, there.standings, strict=True):
            assert one.granted == other.granted
            assert one[1:] == pytest.approx(other[1:], abs=1e-5)
        if here.granted:
            running.append((id, claims, here.at))


async def test_what_redis_was_told_without_an_answer_counts_once(server: RedisServer, place: Place) -> None:
    """It is told again, because nobody can know that it heard."""
    id, reserved = await place.ask(usd(0.5))
    await place.settle(id, Change(usd(0.5), 0.0, reserved.at))  # from here on Redis knows the script
    with server.silent(), pytest.raises(RedisError):
        await place.settle(id, Change(usd(0.5), -0.25, reserved.at))
    await place.written()
    assert (await place.ask(usd(0.1)))[1].standings[0].left == pytest.approx(0.65)


async def test_a_redis_that_says_nothing_is_as_good_as_gone(server: RedisServer, place: Place) -> None:
    with server.silent(), pytest.raises(CountersGone):
        await place.ask(usd(0.5))
    assert await eventually(place, usd(0.1)) <= 0.9


async def test_what_comes_while_redis_says_nothing_is_refused_and_never_told_it(
    server: RedisServer, place: Place
) -> None:
    """Four trips of a hundred are under way, and what waits behind them does not follow them into silence."""
    with server.silent():
        told = await asyncio.gather(*(place.ask(usd(0.001)) for _ in range(1000)), return_exceptions=True)
    assert {type(it) for it in told} == {CountersGone}
    assert await eventually(place, usd(0.001)) >= 0.55


async def test_the_seats_of_a_worker_that_died_are_free_after_half_a_minute(place: Place) -> None:
    await place.ask(seat()), await place.ask(seat())
    place.clock.seconds += 29
    assert not await place.granted(seat())
    place.clock.seconds += 2
    assert await place.granted(seat())


async def test_nothing_stays_in_redis_for_longer_than_it_counts(redis: Redis, place: Place) -> None:
    id, reserved = await place.ask(rate(30), seat(), usd(0.5))
    await place.settle(id, Change(rate(30), -10, reserved.at), Change(usd(0.5), 0.1, reserved.at))
    left = {key.decode(): await redis.ttl(key) async for key in redis.scan_iter("*")}
    assert len(left) == 4
    assert 0 < left["smallforge:limits:rate"] <= 60 and 0 < left["smallforge:limits:seats"] <= 31
    assert all(0 < seconds <= 2 * DAY + 1 for seconds in left.values())


async def test_while_redis_is_gone_nothing_is_granted_and_nothing_forgotten(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        clock = Clock()
        counting = InRedis(open_redis(server.url), clock)
        place = Place(counting, clock, counting.write)
        id, reserved = await place.ask(usd(0.9))
        server.kill()
        with pytest.raises(CountersGone):
            await place.ask(usd(0.1))
        counting.settle(id, [Change(usd(0.9), -0.5, reserved.at)])
        server.start()
        assert await eventually(place, usd(0.1)) == pytest.approx(0.5)
        await counting.close()


async def eventually(place: Place, claim: Claim) -> float:
    """What is left of a claim's counter once all is as it was."""
    for _ in range(100):
        try:
            await place.written()
            return (await place.ask(claim))[1].standings[0].left
        except (CountersGone, RedisError):
            await asyncio.sleep(0.1)
    raise AssertionError("Redis was started again and is still taken for gone")
