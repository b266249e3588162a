"""Stops a request's work when its client leaves.

ASGI tells of a client that left only to who waits for it, so one task waits while the work runs and cancels
it; the cancellation closes the connection to the engine, which is how the engine learns to stop.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from starlette.types import Receive


class ClientGone(Exception):
    """The client left before its answer was complete."""


class WhileConnected:
    """`with WhileConnected(receive):` cancels its body when the client leaves; ClientGone comes out."""

    __slots__ = ("_gone", "_receive", "_task", "_watcher")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None, "requests run in tasks"
        self._task: asyncio.Task[Any] = task
        self._watcher = asyncio.get_running_loop().create_task(self._watch())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watcher.cancel()
        if self._gone:
            self._task.uncancel()
            raise ClientGone from error

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._task.cancel()
