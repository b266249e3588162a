"""Keeps off the terminal what DSPy, Optuna and GEPA write there: lines, progress bars, logs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dspy.utils.parallelizer import tqdm


class _Between:
    """A standard stream, closed to its maker and to the threads that began later until it is opened."""

    def __init__(self, stream: Any) -> None:
        self.open = False
        self._stream = stream
        self._speaking = set(threading.enumerate()) - {threading.current_thread()}

    def write(self, text: str) -> int:
        if self.open or threading.current_thread() in self._speaking:
            written: int = self._stream.write(text)
            return written
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def silent() -> Iterator[None]:
    """While the block runs, its thread and those it starts write to neither standard stream.

    The streams belong to the process, so they are replaced for all threads, and pass on what others write.
    """
    out, err = _Between(sys.stdout), _Between(sys.stderr)
    before = sys.stdout, sys.stderr, tqdm.tqdm.monitor_interval
    sys.stdout, sys.stderr = out, err
    tqdm.tqdm.monitor_interval = 0  # nobody sees the bars, so no thread need keep them moving
    try:
        yield
    finally:
        # Whoever kept one of them, a log handler for instance, goes on with the stream behind it.
        out.open = err.open = True
        tqdm.tqdm.monitor_interval = before[2]
        if sys.stdout is out:
            sys.stdout = before[0]
        if sys.stderr is err:
            sys.stderr = before[1]
