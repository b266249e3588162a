"""Stops a request's work when its client leaves.

Cancelling the work closes the connection to the engine, which is how the engine learns to stop. Our own
server says at once when a client left; of any other ASGI tells it only to who waits for it, so a task does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from starlette.types import Receive, Scope


class ClientGone(Exception):
    """The client left before its answer was complete."""


class Departure:
    """Whether the client of a request has left; `tell` is called once it does.

    A server that knows puts one into the scope of each request, under the name of this class.
    """

    __slots__ = ("_left", "_tell")

    def __init__(self) -> None:
        self._left = False
        self._tell: Callable[[], None] | None = None

    def happens(self) -> None:
        self._left = True
        if self._tell is not None:
            self._tell()

    def watch(self, tell: Callable[[], None] | None) -> None:
        self._tell = tell
        if self._left and tell is not None:
            tell()


class WhileConnected:
    """`with WhileConnected(...):` cancels its body when the client leaves; ClientGone comes out."""

    __slots__ = ("_departure", "_gone", "_receive", "_task", "_watcher")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._departure: Departure | None = scope.get(Departure.__name__)
        self._receive = receive
        self._gone = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None, "requests run in tasks"
        self._task: asyncio.Task[Any] = task
        if self._departure is not None:
            self._departure.watch(self._left)
        else:
            self._watcher = asyncio.get_running_loop().create_task(self._watch())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._departure is not None:
            self._departure.watch(None)
        else:
            self._watcher.cancel()
        if self._gone:
            self._task.uncancel()
            raise ClientGone from error

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left()

    def _left(self) -> None:
        self._gone = True
        self._task.cancel()
