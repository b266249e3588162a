"""Runs one command and makes sure that nothing of it outlives whoever started it.

A program of its own, with the standard library only: `python keeper.py [NAME=VALUE ...] -- COMMAND ...`. It
ends the command, and every process the command made, as soon as its own standard input closes (which the
system does when the starter dies, however it dies), when it is told to end, or when the command ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_SECONDS = 8.0


def main(argv: list[str]) -> int:
    """Run the command to its end, or to ours. Returns its exit code, 0 when we ended it."""
    split = argv.index("--")
    environment = os.environ | dict(setting.split("=", 1) for setting in argv[:split])
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    child = subprocess.Popen(
        argv[split + 1 :],
        stdin=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
        preexec_fn=_die_with_the_keeper if sys.platform == "linux" else None,
    )
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    threading.Thread(target=_wait_for_the_starter, args=(over,), daemon=True).start()
    while child.poll() is None and not over.wait(0.1):
        continue
    code = child.poll()
    _end(child)
    return 0 if code is None else code if code >= 0 else 128 - code


def _wait_for_the_starter(over: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            continue
    over.set()


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the command kindly, then everything that is left of it."""
    _signal_session(child.pid, signal.SIGTERM)
    told = {child.pid}
    until = time.monotonic() + _GRACE_SECONDS
    while child.poll() is None or _descendants():
        # Orphans of the command that left its session have become our children, as we are their subreaper.
        patient = time.monotonic() < until
        for pid in _descendants():
            if not patient or pid not in told:
                _signal(pid, signal.SIGTERM if patient else signal.SIGKILL)
                told.add(pid)
        if not patient:
            _signal_session(child.pid, signal.SIGKILL)
        _reap()
        time.sleep(0.05)
    _signal_session(child.pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _signal_session(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            continue


def _descendants() -> list[int]:
    """Our living children by Linux's own list; empty where there is no such list."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as listing:
            return [int(pid) for pid in listing.read().split()]
    except OSError:
        return []


def _die_with_the_keeper() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
