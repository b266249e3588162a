"""Opens the keys where there may be any; without them neither their module nor SQLAlchemy is imported."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from engine.settings import LOOPBACK, GatewaySettings
from gateway.access.gate import Gate
from gateway.access.pepper import Pepper
from gateway.errors import StartFailed
from gateway.metrics import Metrics
from gateway.stores.opening import Stores

if TYPE_CHECKING:
    from gateway.access.keyring import Keyring


def open_keyring(gateway: GatewaySettings, stores: Stores) -> Keyring:
    """Raises StartFailed without the libraries."""
    database = stores.database()
    from gateway.access.keyring import Keyring

    return Keyring(database, Pepper(gateway.pepper_file, gateway.pepper))


def open_gate(gateway: GatewaySettings, stores: Stores, metrics: Metrics) -> Gate | None:
    """What asks requests for keys; None where nothing is kept that could hold one."""
    if not stores.exists() and not gateway.admin_port:
        return None
    counted = metrics.counter(
        "gateway_keys_unchecked", "Requests whose keys the database could not be asked about.", ("outcome",)
    )
    return Gate(
        open_keyring(gateway, stores),
        hold=gateway.keys_hold_seconds,
        unchecked=lambda outcome: counted.labels(outcome).inc(),
    )


@asynccontextmanager
async def admins(
    gateway: GatewaySettings,
    gate: Gate | None,
    answers: Mapping[Any, Callable[..., Any]],
    listener: socket.socket | None,
) -> AsyncGenerator[None]:
    """Serves admins while the block runs, if the operator wants that. Raises StartFailed.

    `listener` is their port where it is bound already.
    """
    if gate is None or not gateway.admin_port:
        yield
        return
    from gateway.access.admin import admin_port, bind_admins

    with listener or bind_admins(gateway) as port:
        async with admin_port(port, gate.keyring, answers):
            yield


async def check_openness(gateway: GatewaySettings) -> bool:
    """Whether a gateway with these settings asks for keys.

    Raises:
        StartFailed: it doesn't, though others can reach it and nobody said that they may; or that can't be
            known.
    """
    asks = await has_keys(gateway)
    if not asks and not gateway.open and gateway.host not in LOOPBACK:
        raise StartFailed(
            f"Others can reach {gateway.host}, and this gateway has no keys: `gateway keys create NAME` "
            "makes one; --open serves whoever comes, without."
        )
    return asks


async def has_keys(gateway: GatewaySettings) -> bool:
    """Whether there are any that still hold. Raises StartFailed when they can't be checked."""
    stores = Stores(gateway.database)
    if not stores.exists():
        return False
    try:
        return await open_keyring(gateway, stores).open()
    finally:
        await stores.close()
