"""An event loop in a thread of its own: what is async can be called like a function, in a notebook too."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

from compiler.errors import UserMistake

Result = TypeVar("Result")

_SECONDS_TO_CLEAN_UP = 30.0


class Backstage:
    """Open until it is closed; where another loop runs already, as in a notebook, that one is left alone."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._opened = AsyncExitStack()
        self._thread = threading.Thread(target=self._loop.run_forever, name="backstage", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What `work` gives; Ctrl-C cancels it and lets it clean up.

        Raises:
            UserMistake: it was closed.
        """
        if self._loop.is_closed():
            work.close()
            raise UserMistake("the trainer was closed: make another one, and ask it inside its `with` block")
        over = threading.Event()
        tasks: list[asyncio.Task[Any] | None] = []

        async def watched() -> Result:
            tasks.append(asyncio.current_task())
            try:
                return await work
            finally:
                over.set()

        def cancel() -> None:
            for task in tasks:
                if task is not None:
                    task.cancel()

        try:
            return asyncio.run_coroutine_threadsafe(watched(), self._loop).result()
        except KeyboardInterrupt:
            # One turn of the loop later: the work may have been handed over and not begun.
            self._loop.call_soon_threadsafe(self._loop.call_soon, cancel)
            over.wait(_SECONDS_TO_CLEAN_UP)
            raise

    def enter(self, manager: AbstractAsyncContextManager[Result]) -> Result:
        """What it gives; it is left when the stage is cleared or closed."""
        return self.run(self._opened.enter_async_context(manager))

    def clear(self) -> None:
        opened, self._opened = self._opened, AsyncExitStack()
        self.run(opened.aclose())

    def close(self) -> None:
        if self._loop.is_closed():
            return
        if self._thread.is_alive():
            self.clear()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()
