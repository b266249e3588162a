"""Opens the traffic log where one is kept; elsewhere neither SQLAlchemy nor RE2 is imported for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi import APIRouter

from engine.settings import GatewaySettings
from gateway.catalog import Catalog
from gateway.metrics import Metrics
from gateway.shared import Shared
from gateway.stores.opening import Stores, is_url

if TYPE_CHECKING:
    from gateway.limits.allowance import Allowance
    from gateway.traffic.log import TrafficLog

_PATIENCE = 1.0  # seconds in which a worker has written what it answered


def open_traffic(
    gateway: GatewaySettings, stores: Stores, metrics: Metrics, shared: Shared | None, *, with_keys: bool
) -> TrafficLog | None:
    """None where neither the operator nor the holder of a key can have agreed to a log.

    Raises:
        StartFailed: libraries are missing, or patterns of the operator's can't be used.
    """
    if not gateway.traffic.log and not with_keys:
        return None
    database = stores.database()
    from gateway.traffic.log import TrafficLog

    return TrafficLog(gateway.traffic, database, metrics, sweeps=shared is None or shared.place == 0)


def feedback_routers(
    log: TrafficLog | None,
    catalog: Catalog,
    gateway: GatewaySettings,
    allowance: Allowance | None,
) -> Sequence[APIRouter]:
    """The path of feedback, where there is something to give it on."""
    if log is None:
        return ()
    from gateway.traffic.route import FeedbackDesk, feedback_router

    alone = gateway.workers == 1 and not is_url(gateway.database)
    desk = FeedbackDesk(log, catalog, 0.0 if alone else _PATIENCE)
    return (feedback_router(desk, gateway.caps.body_bytes, allowance),)
