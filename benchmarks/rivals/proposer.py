"""A server that writes instructions for both sides of a benchmark: OpenAI's protocol, the same ideas in turn.

Answers in the form it is asked for, a JSON object or headings, so that no side has to ask twice.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

MODEL = "scripted-proposer"
PAUSE = 0.05  # seconds a reply takes
IDEAS = (
    "Solve the word problem step by step, one event after the other, then give the number.",
    "Read the problem, write an equation for every event in order, and answer with the last result.",
    "Work out how many there are after each sentence. Answer with a whole number only.",
    "Solve the word problem. Be careful with words such as doubles and triples.",
    "You count things. Keep the running total and give it at the end.",
)
_ASKED = re.compile(r"`(?:\[\[ ## )?(\w+)(?: ## \]\])?`")
_MODULES = re.compile(r"\[\[ ## module_names ## \]\]\n(\[.*?\])", re.DOTALL)


class Proposer:
    """Hands its ideas out in turn; `calls` counts them."""

    def __init__(self) -> None:
        self.url = ""
        self.calls = 0
        self.app = Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
            ]
        )

    def answer(self, prompt: str) -> str:
        idea = IDEAS[self.calls % len(IDEAS)]
        self.calls += 1
        request = prompt[prompt.rfind("Respond with") :]
        fields: dict[str, object] = {name: idea for name in _ASKED.findall(request) if name != "completed"}
        if "module_advice" in fields:
            fields["module_advice"] = dict.fromkeys(json.loads(_MODULES.findall(prompt)[-1]), idea)
        if "JSON object" in request:
            return json.dumps(fields)
        texts = {name: it if isinstance(it, str) else json.dumps(it) for name, it in fields.items()}
        return "".join(f"[[ ## {name} ## ]]\n{text}\n\n" for name, text in texts.items())

    async def _models(self, request: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1}]})

    async def _complete(self, request: Request) -> JSONResponse:
        body = await request.json()
        prompt = "\n".join(str(message["content"]) for message in body["messages"])
        await asyncio.sleep(PAUSE)
        text = self.answer(prompt) if "Respond with" in prompt else "hello"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(text) // 4, "total_tokens": 0}
        head = {"id": "chat-1", "object": "chat.completion", "created": 1, "model": MODEL}
        return JSONResponse({**head, "choices": [choice], "usage": usage})


@contextmanager
def proposing() -> Iterator[Proposer]:
    """The server, in a thread of its own, until the block ends."""
    proposer = Proposer()
    config = uvicorn.Config(proposer.app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    proposer.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield proposer
    finally:
        server.should_exit = True
        thread.join(timeout=10)
