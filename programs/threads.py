"""Runs what may block in threads, so that neither an event loop nor the end of the process waits for it.

Each piece of work has a thread of its own: one that hangs takes no place from another. The threads are
daemons, because nothing can stop a thread, and one that hangs must not keep its process alive.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


async def in_thread(name: str, work: Callable[[], Result]) -> Result:
    """What `work` gives or raises, in the caller's context; a caller that is cancelled leaves it running."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Result] = loop.create_future()
    working = partial(_run, partial(copy_context().run, work), outcome, loop)
    threading.Thread(target=working, name=name, daemon=True).start()
    try:
        return await outcome
    except asyncio.CancelledError:
        _log.warning("%s goes on in its thread, though nobody waits for it any more", name)
        raise


def _run(
    work: Callable[[], Result], outcome: asyncio.Future[Result], loop: asyncio.AbstractEventLoop
) -> None:
    settle: Callable[[], None]
    try:
        settle = partial(outcome.set_result, work())
    except BaseException as error:  # noqa: BLE001 -- raised where it is awaited
        # A future can't carry this one, which ends an iteration.
        raised = RuntimeError("it raised StopIteration") if isinstance(error, StopIteration) else error
        settle = partial(outcome.set_exception, raised)
    with suppress(RuntimeError):  # the loop is closed, so nobody waits
        loop.call_soon_threadsafe(_settle, outcome, settle)


def _settle(outcome: asyncio.Future[Any], settle: Callable[[], None]) -> None:
    if not outcome.done():
        settle()
