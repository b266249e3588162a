"""What gateways and workers with one Redis allow together, as their clients see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.gateway.access.issuing import issued, where_keys_are
from tests.gateway.commanded import serving
from tests.gateway.limits.stampede import BODY, check_budget, stampede
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.upstream import Script, Upstream, running_upstream
from tests.integration.redis_server import RedisServer, running_redis

BY_TOKEN = "usd_per_million_input = 1000\nusd_per_million_output = 1000"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with running_upstream() as upstream:
        yield upstream


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    with running_redis(folder) as server:
        yield server


@contextmanager
def gateways(
    count: int, folder: Path, upstream: Upstream, redis: RedisServer, lines: str
) -> Iterator[list[RunningGateway]]:
    """Gateways that share a releases folder and a Redis; `lines` end their [gateway] table."""
    student = fingerprint_of(upstream.url)
    with ExitStack() as running:
        found = []
        for number in range(count):
            home = folder / f"gateway-{number}"
            home.mkdir()
            put_release(home / "releases", make_plan(), student)
            settings = settings_for(
                home, upstream.url, price=BY_TOKEN, gateway=f'redis = "{redis.url}"\n{lines}'
            )
            found.append(running.enter_context(running_gateway(settings)))
        yield found


def test_a_budget_holds_over_two_gateways(tmp_path: Path, upstream: Upstream, redis: RedisServer) -> None:
    upstream.reset(Script(seconds=0.2))
    lines = "[limits.quiz]\nusd_per_day = 1.0"
    with gateways(2, tmp_path, upstream, redis, lines) as both:
        herd = check_budget(1.0, 20, [gateway.url for gateway in both])
    assert 0 < herd.statuses[200] < 20


def test_while_redis_is_gone_requests_are_refused_and_then_served_again(
    tmp_path: Path, upstream: Upstream, redis: RedisServer
) -> None:
    upstream.reset()
    with gateways(1, tmp_path, upstream, redis, "[limits.quiz]\nrpm = 1000") as (gateway,):
        url = f"{gateway.url}/v1/chat/completions"
        assert httpx.post(url, json=BODY).status_code == 200
        redis.kill()
        answer = httpx.post(url, json=BODY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "limits_unavailable")
        assert answer.headers["retry-after"] == "1" and "x-should-retry" not in answer.headers
        assert gateway.metric("gateway_limits_uncounted_total", model="quiz", outcome="refused") == 1
        redis.start()
        wait_until(lambda: httpx.post(url, json=BODY).status_code == 200)


def test_whoever_wants_it_so_is_served_while_redis_is_gone_and_charged_when_it_is_back(
    tmp_path: Path, upstream: Upstream, redis: RedisServer
) -> None:
    upstream.reset()
    lines = "limits_fail_open = true\n[limits.quiz]\nusd_per_day = 0.04"
    with gateways(1, tmp_path, upstream, redis, lines) as (gateway,):
        url = f"{gateway.url}/v1/chat/completions"
        redis.kill()
        assert [httpx.post(url, json=BODY).status_code for _ in range(3)] == [200, 200, 200]
        assert gateway.metric("gateway_limits_uncounted_total", model="quiz", outcome="served") == 3
        redis.start()
        wait_until(lambda: httpx.post(url, json=BODY).status_code == 429)


def test_the_workers_of_a_gateway_count_together(
    tmp_path: Path, upstream: Upstream, redis: RedisServer
) -> None:
    upstream.reset()
    (tmp_path / "smallforge.toml").write_text(f'[gateway]\nredis = "{redis.url}"\n[limits.quiz]\nrpm = 5\n')
    with serving(tmp_path, upstream, "--workers", "2") as served:
        herd = stampede(20, [served.url])
    assert herd.statuses == {200: 5, 429: 15}


def test_workers_that_cant_count_together_refuse_a_key_with_limits(
    tmp_path: Path, upstream: Upstream
) -> None:
    upstream.reset()
    (tmp_path / "smallforge.toml").write_text(f"[gateway]\n{where_keys_are(tmp_path)}\n")
    limited, free = issued(tmp_path, "limited", "--rpm", "60"), issued(tmp_path, "free")
    with serving(tmp_path, upstream, "--workers", "2") as served:
        url = f"{served.url}/v1/chat/completions"
        answers = [
            httpx.post(url, json=BODY, headers={"authorization": f"Bearer {key}"}) for key in (limited, free)
        ]
    assert [answer.status_code for answer in answers] == [503, 200]
    error = answers[0].json()["error"]
    assert error["code"] == "limits_unavailable" and "name a Redis (gateway.redis)" in error["message"]
    assert answers[0].headers["x-should-retry"] == "false"
