"""A model server for tests: OpenAI's protocol over real HTTP on a free port, answered by a given model."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from engine.chat import Reply, Usage
from engine.errors import EngineRateLimited, EngineRequestRefused, EngineServerError
from programs.execution import Model
from tests.compiler.scripted import Adder


class Server:
    """The running server: its address, and how many program calls it answered."""

    def __init__(self, model: Model) -> None:
        self.url = ""
        self.name = "small"
        self.calls = 0
        self.more_tokens = 0
        """What it counts beyond others in the same conversation: with some it is another model."""
        self.window: int | None = None
        """Tokens that it says it takes; one that refuses longer prompts is the model's own business."""
        self._model = model
        self.app = Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
            ]
        )

    async def _models(self, request: Request) -> Response:
        card = {"id": self.name, "object": "model", "created": 1, "max_model_len": self.window}
        return JSONResponse({"object": "list", "data": [card]})

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        if "Your input fields are" in body["messages"][0]["content"]:
            self.calls += 1
            try:
                reply: Any = await self._model.complete(body["messages"], body)
            except EngineRateLimited as error:
                return _refusal(429, str(error), {"retry-after": str(error.retry_after)})
            except (EngineServerError, EngineRequestRefused) as error:
                return _refusal(error.status, str(error), {})
        else:
            # A conversation of no program: one of those that identify a model.
            counted = Usage(len(str(body["messages"])) + self.more_tokens, 1)
            reply = Reply("hello", "", "stop", counted, self.name)
        prompt, said = reply.usage.prompt_tokens, reply.usage.completion_tokens
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": reply.text},
            "finish_reason": reply.finish_reason,
        }
        usage = {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}
        head = {"id": "chat-1", "object": "chat.completion", "created": 1, "model": self.name}
        if body.get("stream"):
            return StreamingResponse(_events(reply, head, usage), media_type="text/event-stream")
        return JSONResponse({**head, "choices": [choice], "usage": usage})


def _events(reply: Any, head: dict[str, object], usage: dict[str, int]) -> Iterator[str]:
    """The reply in pieces of a few characters, then what it took."""
    pieces = [reply.text[at : at + 7] for at in range(0, len(reply.text), 7)]
    for piece in pieces:
        chunk = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
        yield f"data: {json.dumps({**head, 'choices': [chunk]})}\n\n"
    last = {"index": 0, "delta": {}, "finish_reason": reply.finish_reason}
    yield f"data: {json.dumps({**head, 'choices': [last]})}\n\n"
    yield f"data: {json.dumps({**head, 'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n"


def _refusal(status: int, why: str, headers: dict[str, str]) -> Response:
    return JSONResponse({"error": {"message": why}}, status, headers)


@contextmanager
def serving(model: Model, keep_alive: int = 5, window: int | None = None) -> Iterator[Server]:
    """The server, in a thread of its own, so that a command in this process can call it."""
    served = Server(model)
    served.window = window
    config = uvicorn.Config(
        served.app,
        host="127.0.0.1",
        port=0,
        log_level="warning",
        lifespan="off",
        timeout_keep_alive=keep_alive,
    )
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


def main(port: int) -> None:
    """The adder as a process of its own, for tests that end it: python -m tests.compiler.served PORT."""
    served = Server(Adder(pause=0.005))
    uvicorn.run(served.app, host="127.0.0.1", port=port, log_level="warning", lifespan="off")


if __name__ == "__main__":
    main(int(sys.argv[1]))
