"""A model server for tests: OpenAI's protocol over real HTTP on a free port, answered by `Adder`."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.chat import Reply, Usage
from tests.compiler.scripted import Adder


class Server:
    """The running server: its address, and how many sums it was asked."""

    def __init__(self, pause: float) -> None:
        self.adder = Adder(pause=pause)
        self.url = ""
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "adder", "object": "model", "created": 1}]})

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        if " + " in str(body["messages"][-1]["content"]):
            reply = await self.adder.complete(body["messages"], body)
        else:
            # The conversations that identify a model hold no sum.
            reply = Reply("hello", "", "stop", Usage(len(str(body["messages"])), 1), "adder")
        usage = reply.usage or Usage(0, 0)
        message = {"role": "assistant", "content": reply.text}
        counts = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return JSONResponse(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "model": "adder",
                "choices": [choice],
                "usage": {**counts, "total_tokens": sum(counts.values())},
            }
        )


@contextmanager
def serve_adder(pause: float = 0.0) -> Iterator[Server]:
    """The server, in a thread of its own so that a command in this process can call it."""
    served = Server(pause)
    config = uvicorn.Config(served.app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    served.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.should_exit = True
        thread.join(timeout=10)
