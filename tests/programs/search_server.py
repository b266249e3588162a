"""A passage server for tests: the protocol of `HttpRetriever` over real HTTP on a free port."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

HERON = {"title": "Heron", "text": "The heron is a bird.", "score": 3.5}
GATE = {"title": "Gate", "text": "The gate is iron."}


class PassageServer:
    """Gives the same two passages for every query, after a pause, or first some given trouble."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.troubles: list[Response] = []
        self.pause = 0.0
        self.app = Starlette(routes=[Route("/search", self._search, methods=["POST"])])

    async def _search(self, request: Request) -> Response:
        self.asked.append(await request.json())
        await asyncio.sleep(self.pause)
        if self.troubles:
            return self.troubles.pop(0)
        return JSONResponse({"passages": [HERON, GATE]})


@contextmanager
def passage_server() -> Iterator[PassageServer]:
    served = PassageServer()
    server = uvicorn.Server(uvicorn.Config(served.app, port=0, log_config=None, ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        served.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/search"
        yield served
    finally:
        server.should_exit = True
        thread.join(10)
