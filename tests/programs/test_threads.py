"""Tests for programs/threads.py."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextvars import ContextVar

import pytest

from programs.threads import in_thread

COLOUR: ContextVar[str] = ContextVar("COLOUR", default="none")


async def test_work_has_its_own_thread_and_the_callers_context() -> None:
    COLOUR.set("green")
    thread, colour = await in_thread("work", lambda: (threading.current_thread(), COLOUR.get()))
    assert thread is not threading.current_thread() and thread.daemon
    assert colour == "green"


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
async def test_what_it_raises_is_raised_where_it_is_awaited(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        await in_thread("work", fail)


async def test_the_end_of_an_iteration_is_an_error_like_others() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await in_thread("work", lambda: next(iter([])))


async def test_who_stops_waiting_is_free_at_once() -> None:
    released = threading.Event()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(in_thread("work", lambda: released.wait(30)), 0.05)
    released.set()


def test_a_process_ends_though_a_thread_hangs() -> None:
    script = (
        "import asyncio, threading; from programs.threads import in_thread\n"
        "async def main():\n"
        "    task = asyncio.ensure_future(in_thread('hangs', threading.Event().wait))\n"
        "    await asyncio.sleep(0.1); print('over')\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "over\n")
    assert "hangs goes on in its thread" in done.stderr
