"""Which place counts: a shared Redis, or this process if it is the only one.

Neither Redis nor SQLAlchemy is imported where it isn't needed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from engine.settings import Settings
from gateway.limits.allowance import Allowance
from gateway.limits.counting import Change, Claim, CountersGone, Counting, Reservation
from gateway.limits.in_process import InProcess
from gateway.metrics import Metrics
from gateway.stores.opening import Stores

_log = logging.getLogger(__name__)


class Apart:
    """Workers that can't count together: whatever is limited is refused, because no limit would hold."""

    async def open(self, windows: Sequence[str]) -> None:
        _log.warning(
            "keys with limits are refused: several workers can't count together without gateway.redis"
        )

    async def reserve(self, id: str, claims: Sequence[Claim]) -> Reservation:
        raise CountersGone(
            "This model or key is limited, and the workers of this gateway can't count together; its "
            "operator has to name a Redis (gateway.redis), or let one worker serve.",
            comes_back=False,
        )

    def settle(self, id: str, changes: Sequence[Change]) -> None:
        """Nothing was reserved."""

    async def close(self) -> None:
        """Nothing was counted."""


def open_allowance(
    settings: Settings, metrics: Metrics, stores: Stores, *, workers: int, with_keys: bool
) -> Allowance | None:
    """The limits of a gateway of this many workers; None where neither a model nor a key can have one.

    Raises StartFailed without the libraries that it takes.
    """
    if not settings.limits and not with_keys:
        return None
    if settings.gateway.redis is not None:
        counting = _in_redis(settings.gateway.redis)
    elif workers > 1:
        counting = Apart()
    elif with_keys or any(limit.usd_per_day or limit.usd_per_month for limit in settings.limits.values()):
        counting = _with_ledger(stores)
    else:
        counting = InProcess()
    return Allowance(settings.limits, counting, metrics, fail_open=settings.gateway.limits_fail_open)


def _in_redis(url: str) -> Counting:
    from gateway.limits.in_redis import InRedis
    from gateway.stores.redis import open_redis

    return InRedis(open_redis(url))


def _with_ledger(stores: Stores) -> Counting:
    database = stores.database()
    from gateway.limits.ledger import Ledger

    return InProcess(ledger=Ledger(database))
