"""Which place counts: a shared Redis, or this process if it is the only one. Redis is imported here alone."""

from __future__ import annotations

from collections.abc import Sequence

from engine.settings import Settings
from gateway.limits.allowance import Allowance
from gateway.limits.counting import Change, Claim, CountersGone, Counting, Reservation
from gateway.limits.in_process import InProcess
from gateway.metrics import Metrics


class Apart:
    """Workers that can't count together: whatever is limited is refused, because no limit would hold."""

    async def reserve(self, id: str, claims: Sequence[Claim]) -> Reservation:
        raise CountersGone(
            "This model or key is limited, and the workers of this gateway can't count together; its "
            "operator has to name a Redis (gateway.redis), or let one worker serve.",
            comes_back=False,
        )

    def settle(self, id: str, changes: Sequence[Change]) -> None:
        """Nothing was reserved."""

    async def close(self) -> None:
        """Nothing is written."""


def open_allowance(
    settings: Settings, metrics: Metrics, *, workers: int, with_keys: bool
) -> Allowance | None:
    """The limits of a gateway of this many workers; None where neither a model nor a key can have one."""
    if not settings.limits and not with_keys:
        return None
    counting = _counting(settings.gateway.redis, workers)
    return Allowance(settings.limits, counting, metrics, fail_open=settings.gateway.limits_fail_open)


def _counting(redis: str | None, workers: int) -> Counting:
    if redis is not None:
        from gateway.limits.in_redis import InRedis
        from gateway.stores.redis import open_redis

        return InRedis(open_redis(redis))
    return InProcess() if workers == 1 else Apart()
