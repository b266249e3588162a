"""Tests for gateway/limits/settling.py: what waits while no Redis answers."""

from __future__ import annotations

import pytest

from gateway.limits.counting import Change, Claim
from gateway.limits.script import Script
from gateway.limits.settling import Settling
from gateway.stores.redis import open_redis
from tests.gateway.commanded import free_port


async def test_all_that_is_never_written_is_told_also_what_was_forgotten_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    redis = open_redis(f"redis://127.0.0.1:{free_port()}/0")
    settling = Settling(Script(redis, ""), lambda: "")
    change = Change(Claim("model:quiz:usd", "budget", 10.0, 0.1), 0.2, 0.0)
    for _ in range(3):
        settling.add("request", [change] * 40_000)
    await settling.close()
    await redis.aclose()
    first, last = caplog.messages
    assert "the oldest of what is to be settled is forgotten" in first
    assert "120000 changes of limits were not written" in last
