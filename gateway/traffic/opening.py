"""Opens the traffic log where one is kept; elsewhere neither SQLAlchemy nor RE2 is imported for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.settings_traffic import TrafficSettings
from gateway.metrics import Metrics
from gateway.stores.opening import Stores

if TYPE_CHECKING:
    from gateway.traffic.log import TrafficLog


def open_traffic(
    settings: TrafficSettings, stores: Stores, metrics: Metrics, *, with_keys: bool, sweeps: bool
) -> TrafficLog | None:
    """None where neither the operator nor any key's holder can have agreed to it; `sweeps` as the log has it.

    Raises:
        StartFailed: libraries are missing, or patterns of the operator's can't be used.
    """
    if not settings.log and not with_keys:
        return None
    database = stores.database()
    from gateway.traffic.log import TrafficLog

    return TrafficLog(settings, database, metrics, sweeps)
