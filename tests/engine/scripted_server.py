"""A real HTTP server that answers as a script says and remembers what it was asked: the engine's double.

It speaks on a free loopback port, so the code under test opens real connections and really closes them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class ScriptedServer:
    """What the server saw. `left` is set when a client went away before the answer was complete."""

    url: str = ""
    bodies: list[dict[str, object]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    peers: list[object] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def serving(handler: Handler, port: int = 0) -> AsyncIterator[ScriptedServer]:
    """Serve `handler` on every path until the block ends; port 0 is any free one."""
    seen = ScriptedServer()

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.bodies.append(json.loads(await request.read() or b"{}"))
        seen.headers.append(dict(request.headers))
        seen.peers.append(request.transport.get_extra_info("peername") if request.transport else None)
        seen.arrived.set()
        try:
            return await handler(request)
        except (asyncio.CancelledError, ConnectionResetError):
            seen.left.set()
            raise

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    seen.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield seen
    finally:
        await runner.cleanup()


def completion(text: str = "four", **message: object) -> dict[str, object]:
    """A chat completion body as vLLM sends it."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "tiny",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, **message},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 3,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 8},
        },
    }


def chunk(delta: dict[str, object], finish_reason: str | None = None, **more: object) -> bytes:
    """One streamed chunk as an event."""
    body = {
        "model": "tiny",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        **more,
    }
    return event(body)


def event(body: object) -> bytes:
    """Any JSON as an event."""
    return f"data: {json.dumps(body)}\n\n".encode()


DONE = b"data: [DONE]\n\n"
USAGE = event({"model": "tiny", "choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 2}})


def replying(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Handler:
    """A handler that always sends `body` as JSON."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return handle


def streaming(*parts: bytes, pause: float = 0.0) -> Handler:
    """A handler that sends `parts` one by one, `pause` seconds before each but the first."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for place, part in enumerate(parts):
            await asyncio.sleep(pause if place else 0)
            await response.write(part)
        await response.write_eof()
        return response

    return handle


async def never(request: web.Request) -> web.StreamResponse:
    """A handler that does not answer while anyone could still be waiting."""
    await asyncio.sleep(60)
    return web.json_response({})
