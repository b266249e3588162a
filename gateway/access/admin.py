"""The admins' port: keys are listed, made, rotated and revoked over HTTP, by holders of an admin's key.

Off unless the operator names a port, and then on this machine only unless they name another address.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig

from engine.settings import LOOPBACK, GatewaySettings
from gateway.access.admission import admit
from gateway.access.durations import seconds_of
from gateway.access.gate import Gate
from gateway.access.key import Issued, wanted_from
from gateway.access.keyring import Keyring
from gateway.errors import RequestInvalid, StartFailed
from gateway.exchange import read_body
from gateway.hosts import OwnHosts
from gateway.listing import as_json
from gateway.protocol import read_object
from gateway.server import bind

Answers = Mapping[Any, Callable[..., Any]]
"""What answers each kind of error."""
_GRACE = "24h"
_LARGEST_BODY = 64 * 1024
# What FastAPI would record of an answer may hold a new key.
_UNSEEN = TelemetryConfig(tracing=False, metrics=False, logs=False, auto_configure=False)


@asynccontextmanager
async def admin_port(listener: socket.socket, keyring: Keyring, answers: Answers) -> AsyncGenerator[None]:
    """Serves admins on a bound socket while the block runs. Raises StartFailed without an admin."""
    if not any(key.wanted.kind == "admin" for key in await keyring.all()):
        raise StartFailed(
            "The admins' port asks for an admin's key, and there is none: gateway keys create NAME --admin"
        )
    gate = Gate(keyring, "admin")
    await gate.open()
    app = _admin_app(keyring, gate, answers, listener.getsockname()[0])
    config = uvicorn.Config(
        app, http="httptools", ws="none", lifespan="off",
        access_log=False, log_config=None, server_header=False, proxy_headers=False,
    )  # fmt: skip
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="admins")
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def bind_admins(gateway: GatewaySettings) -> socket.socket:
    """Raises StartFailed where the port is taken."""
    host, port = gateway.admin_host, gateway.admin_port
    try:
        return bind(host, port)
    except OSError as error:
        raise StartFailed(
            f"Can't serve admins on {host}:{port}: {error.strerror}; gateway.admin_port names another port."
        ) from error


class _Server(uvicorn.Server):
    """Signals are for the gateway, which ends this."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _admin_app(keyring: Keyring, gate: Gate, answers: Answers, host: str) -> FastAPI:
    app = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None, exception_handlers=dict(answers), telemetry=_UNSEEN
    )
    app.state.gate = gate
    app.include_router(_keys_router(keyring))
    if host in LOOPBACK:
        # A page on the web may point its own host name at this machine.
        app.add_middleware(OwnHosts, hosts=[*LOOPBACK, "[::1]"])
    return app


def _keys_router(keyring: Keyring) -> APIRouter:
    router = APIRouter(prefix="/keys", dependencies=[Depends(admit)])

    @router.get("")
    async def list_keys() -> Response:
        now = time.time()
        return as_json({"keys": [key.as_dict(now) for key in await keyring.all()]})

    @router.post("")
    async def create(request: Request) -> Response:
        return _issued(await keyring.create(wanted_from(await _said(request))), 201)

    @router.delete("/{key}")
    async def revoke(key: str) -> Response:
        return as_json((await keyring.revoke(key)).as_dict(time.time()))

    @router.post("/{key}/rotate")
    async def rotate(key: str, request: Request) -> Response:
        said = await _said(request)
        grace = said.get("grace", _GRACE)
        if not isinstance(grace, str) or said.keys() - {"grace"}:
            raise RequestInvalid("A rotation takes 'grace', a span of time such as '12h'.", param="grace")
        return _issued(await keyring.rotate(key, seconds_of(grace)), 200)

    return router


async def _said(request: Request) -> dict[str, Any]:
    """The JSON object in a body, which may be left out. Read here, so that only admins have one read."""
    return read_object(await read_body(request.receive, _LARGEST_BODY) or b"{}")


def _issued(issued: Issued, status: int) -> Response:
    return as_json({**issued.key.as_dict(time.time()), "key": issued.token}, status)
