"""The gate before routes of FastAPI; the endpoints that ask a model pass it by themselves."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from gateway.access.caller import Caller
from gateway.access.gate import Gate


async def admit(request: Request) -> Caller | None:
    """Raises KeyRefused and StoreUnavailable."""
    gate: Gate | None = request.app.state.gate
    return None if gate is None else await gate.admit(request.scope["headers"])


Admitted = Annotated[Caller | None, Depends(admit)]
"""Who asks; None where there are no keys. A route that takes it answers nobody without a key."""
