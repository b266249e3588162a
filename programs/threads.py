"""Runs what may block in threads, so that neither an event loop nor the end of the process waits for it.

Each piece of work has a thread of its own: one that hangs takes no place from another. The threads are
daemons, because nothing can stop a thread, and one that hangs must not keep its process alive.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


async def in_thread(name: str, work: Callable[[], Result]) -> Result:
    """What `work` gives or raises, in the caller's context; a caller that is cancelled leaves it running."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Result] = loop.create_future()
    context = copy_context()

    def run() -> None:
        try:
            result = context.run(work)
        except BaseException as error:  # noqa: BLE001 -- raised where it is awaited
            # A future can't carry this one, which ends an iteration.
            raised = RuntimeError("it raised StopIteration") if isinstance(error, StopIteration) else error
            _tell(loop, outcome, outcome.set_exception, raised)
        else:
            _tell(loop, outcome, outcome.set_result, result)

    threading.Thread(target=run, name=name, daemon=True).start()
    try:
        return await outcome
    except asyncio.CancelledError:
        _log.warning("%s goes on in its thread, though nobody waits for it any more", name)
        raise


def _tell(
    loop: asyncio.AbstractEventLoop,
    outcome: asyncio.Future[Any],
    settle: Callable[[Any], None],
    value: object,
) -> None:
    def settle_it() -> None:
        if not outcome.done():
            settle(value)

    try:
        loop.call_soon_threadsafe(settle_it)
    except RuntimeError:
        pass  # the loop is closed, so nobody waits
