"""Several streams as one, whichever has something first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

Item = TypeVar("Item")


async def interleaved(streams: Sequence[AsyncGenerator[Item]]) -> AsyncGenerator[tuple[int, Item]]:
    """The items as they come, each with the number of its stream.

    When one fails or the consumer leaves, the others are closed. A consumer may fall behind: what was not
    taken yet is kept.
    """
    if len(streams) == 1:
        async with aclosing(streams[0]) as only:
            async for item in only:
                yield 0, item
        return
    arrived: asyncio.Queue[tuple[int, Item] | asyncio.Task[None]] = asyncio.Queue()

    async def forward(number: int, stream: AsyncGenerator[Item]) -> None:
        async with aclosing(stream):
            async for item in stream:
                arrived.put_nowait((number, item))

    tasks = [asyncio.ensure_future(forward(number, stream)) for number, stream in enumerate(streams)]
    for task in tasks:
        task.add_done_callback(arrived.put_nowait)
    running = len(tasks)
    try:
        while running:
            found = await arrived.get()
            if isinstance(found, tuple):
                yield found
            else:
                found.result()  # raises what a stream raised
                running -= 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
