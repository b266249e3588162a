"""A web application on a loopback port, in a thread of its own: a real server for code that blocks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web


@contextmanager
def serving_in_thread(app: web.Application, port: int = 0) -> Iterator[str]:
    """The server's URL, until the block ends; what is under way then is cut off. Port 0 is any free one."""
    loop, started, url = asyncio.new_event_loop(), threading.Event(), ""
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()

    def run() -> None:
        nonlocal url
        loop.run_until_complete(start())
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, name="server", daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
