"""A small budget under two hundred requests at once, over two gateways."""

from __future__ import annotations

from pathlib import Path

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
