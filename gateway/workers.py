"""Several workers behind one port: who starts them, starts again what ended, passes signals on, and serves
the metrics of all.

Workers are forked, so that they share the memory of all that is imported; therefore no thread and no event
loop may run in this process. What else they share is in `gateway.shared`.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType
from typing import NamedTuple, NoReturn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.multiprocess import mark_process_dead

from gateway.errors import StartFailed
from gateway.metrics import Metrics, port_taken
from gateway.shared import Shared

_log = logging.getLogger(__name__)

Say = Callable[[str], None]
Work = Callable[[Shared, Say], int]
"""What a worker does: serves until a signal ends it; says something once it does; gives its exit code."""

_SHORT_LIFE = 5.0  # seconds; what ends sooner is started again after a pause
_PAUSE = 1.0
_LOOK = 0.5  # seconds between two looks for workers that ended


class Worker(NamedTuple):
    place: int
    born: float


class Foreman:
    """Keeps all places filled. `shared` is what the workers have in common; each gets it with its place."""

    def __init__(self, work: Work, shared: Shared) -> None:
        self._work = work
        self._shared = shared
        self._workers: dict[int, Worker] = {}
        self._ending = False
        self._watched, self._lifeline = os.pipe()

    def run(self, metrics_host: str, metrics_port: int, started: Say) -> int:
        """Serves until a signal ends it; gives the worst of the workers' exit codes.

        Raises:
            StartFailed: the port of the metrics is taken.
        """
        with _metrics_server(self._shared, metrics_host, metrics_port) as metrics:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._pass_on)
            gc.freeze()  # what is never looked at again is never copied
            # The first alone: what it finds or starts, such as a local engine, the others find in their turn.
            said = self._hire_first()
            if not said:
                return self._code_of_first()
            for place in range(1, self._shared.workers):
                self._hire(place)
            started(said)
            worst = 0
            while self._workers:
                metrics.handle_request()
                for code in self._ended():
                    worst = max(worst, code)
            return worst

    def _hire_first(self) -> str:
        """Waits until it has started; gives what it says then, nothing where it ended instead."""
        read, write = os.pipe()

        def say(text: str) -> None:
            os.write(write, f"{text}\n".encode())
            os.close(write)

        self._hire(0, say)
        os.close(write)
        with os.fdopen(read) as told:
            return told.read()

    def _code_of_first(self) -> int:
        (pid,) = self._workers
        return _exit_code(os.waitpid(pid, 0)[1])

    def _hire(self, place: int, say: Say = lambda text: None) -> None:
        pid = os.fork()
        if pid == 0:
            self._be_a_worker(replace(self._shared, place=place), say)
        self._workers[pid] = Worker(place, time.monotonic())
        if self._ending:
            os.kill(pid, signal.SIGTERM)

    def _be_a_worker(self, shared: Shared, say: Say) -> NoReturn:
        code = 1
        try:
            os.setpgid(0, 0)  # Ctrl-C reaches the foreman only, who passes it on
            os.close(self._lifeline)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            threading.Thread(target=self._outlive_nobody, daemon=True).start()
            code = self._work(shared, say)
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 1
        except Exception:  # noqa: BLE001 -- nobody above to tell it
            _log.critical("a worker failed", exc_info=True)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # What follows in the program is the foreman's to do.
            os._exit(code)

    def _outlive_nobody(self) -> None:
        """Ends this worker when the foreman is gone: then nobody holds the other end of the lifeline."""
        os.read(self._watched, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._ending = True
        for pid in self._workers:
            os.kill(pid, number)

    def _ended(self) -> Iterator[int]:
        """The exit codes of workers that ended when they should; others are started again."""
        for pid in list(self._workers):
            found, status = os.waitpid(pid, os.WNOHANG)
            if not found:
                continue
            worker = self._workers.pop(pid)
            mark_process_dead(pid, str(self._shared.folder))  # type: ignore[no-untyped-call]
            if self._ending:
                # One that was still coming up ends by the signal itself.
                told_to = {128 + signal.SIGTERM, 128 + signal.SIGINT}
                yield 0 if _exit_code(status) in told_to else _exit_code(status)
                continue
            _log.error("worker %d ended with %d and is started again", worker.place, _exit_code(status))
            if time.monotonic() - worker.born < _SHORT_LIFE:
                time.sleep(_PAUSE)
            self._hire(worker.place)


def _exit_code(status: int) -> int:
    """As a shell tells it: 128 and the number of the signal that ended it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


class _Quiet(WSGIRequestHandler):
    timeout = 5  # seconds; one slow client would keep the foreman from his work

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are no news."""


class _OnIPv6(WSGIServer):
    address_family = socket.AF_INET6


def _metrics_server(shared: Shared, host: str, port: int) -> WSGIServer:
    app = make_wsgi_app(Metrics(shared.folder).registry())
    try:
        server = make_server(host, port, app, _OnIPv6 if ":" in host else WSGIServer, _Quiet)
    except OSError as error:
        raise StartFailed(port_taken(host, port, error)) from error
    server.timeout = _LOOK
    return server
