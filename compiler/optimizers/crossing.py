"""The way of an optimiser's threads into the build's event loop, and their way out when the search is over.

DSPy's optimisers call models and metrics from threads of their own and wait for them; ours live in one event
loop. Knows nothing of DSPy but which of its errors are a model's.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from dspy import lm15

from compiler.optimizers.silence import silent

PATIENCE = 5.0  # seconds for a thread that may be somebody else's

Result = TypeVar("Result")


class Left(BaseException):
    """Ends an optimiser's thread. No `Exception`, because DSPy logs those and goes on."""


class Crossing:
    """What one search's threads call through; once closed, whoever calls or waits leaves."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.failure: BaseException | None = None
        self._loop = loop
        self._lock = threading.Lock()
        self._closed = False
        self._waiting: set[Future[Any]] = set()
        self._before = set(threading.enumerate())

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`, done in the event loop while the calling thread waits.

        Raises:
            LM15Error: the model's answer to this one call, which an optimiser may survive.
            Left: anything else went wrong, which is then the search's `failure`; or the search is over.
        """
        with self._lock:
            if self._closed:
                work.close()
                raise Left
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
            self._waiting.add(future)
        try:
            error = future.exception()
        except CancelledError:
            raise Left from None
        finally:
            self._waiting.discard(future)
        if error is None:
            return future.result()
        if isinstance(error, lm15.LM15Error):
            raise error
        self.failure = self.failure or error
        self.close()
        raise Left

    def close(self) -> None:
        with self._lock:
            self._closed = True
            waiting = list(self._waiting)
        for future in waiting:
            future.cancel()

    def join(self) -> None:
        """Waits for the threads of the optimiser's pools; with this closed, they have nothing to wait for."""
        for thread in set(threading.enumerate()) - self._before - {threading.current_thread()}:
            if thread.name.startswith("ThreadPoolExecutor"):
                thread.join(PATIENCE)


async def aside(work: Callable[[Crossing], Result]) -> Result:
    """The result of `work`, done in a thread beside the event loop; no thread of it is left afterwards.

    Raises:
        Exception: what `work` raised, or the failure of a call that it made.
    """
    loop = asyncio.get_running_loop()
    crossing = Crossing(loop)
    pool = ThreadPoolExecutor(1, "optimiser")

    def quietly() -> Result:
        with silent():
            return work(crossing)

    working = loop.run_in_executor(pool, contextvars.copy_context().run, quietly)
    try:
        await asyncio.wait([working])
    finally:
        crossing.close()
        # The pool has one thread, so that this comes when the work is done.
        await loop.run_in_executor(pool, crossing.join)
        pool.shutdown()
        error = working.exception()
    if isinstance(error, Left) and crossing.failure is not None:
        raise crossing.failure
    return working.result()
