"""Opens the keys where there may be any; without them neither their module nor SQLAlchemy is imported."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from engine.settings import GatewaySettings
from gateway.access.gate import Gate
from gateway.access.pepper import Pepper
from gateway.stores.opening import Stores

if TYPE_CHECKING:
    from gateway.access.keyring import Keyring


def open_keyring(gateway: GatewaySettings, stores: Stores) -> Keyring:
    """Raises StartFailed without the libraries."""
    database = stores.database()
    from gateway.access.keyring import Keyring

    return Keyring(database, Pepper(gateway.pepper_file, gateway.pepper))


def open_gate(gateway: GatewaySettings, stores: Stores) -> Gate | None:
    """What asks requests for keys; None where nothing is kept that could hold one."""
    return Gate(open_keyring(gateway, stores)) if stores.exists() or gateway.admin_port else None


@asynccontextmanager
async def admins(
    gateway: GatewaySettings, gate: Gate | None, answers: Mapping[Any, Callable[..., Any]]
) -> AsyncGenerator[None]:
    """Serves admins while the block runs, if the operator wants that. Raises StartFailed."""
    if gate is None or not gateway.admin_port:
        yield
        return
    from gateway.access.admin import admin_port

    async with admin_port(gateway, gate.keyring, answers):
        yield


async def has_keys(gateway: GatewaySettings) -> bool:
    """Whether a gateway with these settings asks for keys. Raises StartFailed when they can't be checked."""
    stores = Stores(gateway.database)
    if not stores.exists():
        return False
    try:
        return await open_keyring(gateway, stores).open()
    finally:
        await stores.close()
