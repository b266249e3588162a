"""Several workers behind one port: who starts them, replaces them, passes signals on, and serves the metrics
of all.

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
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import FrameType
from typing import NoReturn

from engine.errors import SettingsInvalid
from gateway.estate import settle_estate
from gateway.metrics import Metrics
from gateway.metrics_port import MetricsPort, Silent
from gateway.post import RELIEVED, Job, News, Post, new_line
from gateway.shared import Shared
from gateway.terminal import Terminal

_log = logging.getLogger(__name__)

_SHORT_LIFE = 5.0  # seconds; what ends sooner is started again after a pause
_PAUSE = 1.0
_LOOK = 0.5  # seconds between two looks at the workers
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass
class Worker:
    """One process. It is `replaced` when another serves in its place, or is about to."""

    pid: int
    place: int
    seat: int
    news: News
    born: float
    replaced: bool = False


@dataclass
class Restart:
    """All workers are replaced by those of another job, one place after the other."""

    job: Job
    places: deque[int]
    successor: Worker | None = None


class Foreman:
    """Keeps all places filled. `shared` is what the workers have in common; `listeners` has one a place."""

    def __init__(
        self, job: Job, listeners: Sequence[socket.socket], shared: Shared, terminal: Terminal
    ) -> None:
        self._job = job
        self._listeners = listeners
        self._shared = shared
        self._terminal = terminal
        self._workers: dict[int, Worker] = {}
        self._restart: Restart | None = None
        self._restart_wanted = False
        self._ending = False
        self._watched, self._lifeline = os.pipe()

    def run(self, metrics_host: str, metrics_port: int) -> int:
        """Serves until a signal ends it; gives the worst of the workers' exit codes.

        Raises:
            StartFailed: the port of the metrics is taken.
        """
        registry = Metrics(self._shared.folder).registry()
        with MetricsPort(metrics_host, metrics_port, registry, _Brief) as metrics:
            metrics.timeout = _LOOK
            signal.signal(signal.SIGTERM, self._pass_on)
            signal.signal(signal.SIGINT, self._pass_on)
            signal.signal(signal.SIGHUP, self._hang_up)
            gc.freeze()  # what is never looked at again is never copied
            # The first alone: what it finds or starts, such as a local engine, the others find in their turn.
            first = self._hire(0, self._job)
            first.news.wait()
            if not first.news.serves:
                return self._end_of_first(first)
            for place in range(1, self._shared.workers):
                self._hire(place, self._job)
            self._terminal.serves(first.news.models)
            worst = 0
            while self._workers:
                metrics.handle_request()
                for worker in self._workers.values():
                    worker.news.listen()
                for code in self._ended():
                    worst = max(worst, code)
                self._see_to_places()
            return worst

    def _end_of_first(self, first: Worker) -> int:
        if first.news.failure is not None:
            self._terminal.fails(first.news.failure)
        return _exit_code(os.waitpid(first.pid, 0)[1])

    def _hire(self, place: int, job: Job, *, succeeds: bool = False) -> Worker:
        """Starts a worker; there must be a free seat."""
        seat = next(it for it in range(self._shared.seats) if it not in self._seats_taken())
        shared = replace(self._shared, place=place, seat=seat)
        news, line = new_line()
        # A signal that came before the child has its own handlers would be dealt with as by the foreman.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            self._be_a_worker(job, Post(shared, self._listeners[place], line, succeeds))
        line.leaves()
        worker = self._workers[pid] = Worker(pid, place, seat, news, time.monotonic())
        if self._ending:
            os.kill(pid, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        return worker

    def _seats_taken(self) -> set[int]:
        return {worker.seat for worker in self._workers.values()}

    def _be_a_worker(self, job: Job, post: Post) -> NoReturn:
        code = 1
        try:
            os.setpgid(0, 0)  # Ctrl-C reaches the foreman only, who passes it on
            os.close(self._lifeline)
            self._close_others(post)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(RELIEVED, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            threading.Thread(target=self._outlive_nobody, daemon=True).start()
            code = job.work(post)
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 1
        except Exception:  # noqa: BLE001 -- nobody above to tell it
            _log.critical("a worker failed", exc_info=True)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # What follows in the program is the foreman's to do.
            os._exit(code)

    def _close_others(self, post: Post | None) -> None:
        """Closes this process's hold on the sockets of all other posts."""
        admins = self._shared.admins
        if admins is not None and (post is None or post.shared.place):
            admins.close()
        for listener in self._listeners:
            if post is None or listener is not post.listener:
                listener.close()

    def _outlive_nobody(self) -> None:
        """Ends this worker when the foreman is gone: then nobody holds the other end of the lifeline."""
        os.read(self._watched, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._ending = True
        for worker in self._workers.values():
            self._signal(worker, number)

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        if self._terminal.closed:
            self._pass_on(signal.SIGTERM, frame)
        self._restart_wanted = True

    def _signal(self, worker: Worker, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(worker.pid, number)

    def _ended(self) -> Iterator[int]:
        """The exit codes of workers that ended when they should; others are started again."""
        for worker in list(self._workers.values()):
            found, status = os.waitpid(worker.pid, os.WNOHANG)
            if not found:
                continue
            worker.news.listen()
            worker.news.hang_up()
            del self._workers[worker.pid]
            settle_estate(self._shared.folder, worker.pid)
            self._shared.leave(worker.seat)
            code = _exit_code(status)
            if self._ending:
                # One that was still coming up ends by the signal itself.
                yield 0 if code in {128 + signal.SIGTERM, 128 + signal.SIGINT} else code
            elif self._restart is not None and self._restart.successor is worker:
                self._give_up(worker, code)
            elif not worker.replaced:
                _log.error("worker %d ended with %s and is started again", worker.place, _why(worker, code))
                if time.monotonic() - worker.born < _SHORT_LIFE:
                    time.sleep(_PAUSE)
            elif code:
                _log.error("worker %d, which was replaced, ended with %d", worker.place, code)

    def _see_to_places(self) -> None:
        """Fills the places that are empty or will be, and goes on with a restart."""
        if self._ending:
            self._close_others(None)  # nobody will come any more to serve those who wait there
            return
        for worker in list(self._workers.values()):
            if worker.news.broken and worker.news.serves and not worker.replaced and self._has_room():
                _log.info("worker %d leaves and is replaced", worker.place)
                worker.replaced = True
        held = {worker.place for worker in self._workers.values() if not worker.replaced}
        for place in range(self._shared.workers):
            if place not in held and self._has_room():
                self._hire(place, self._job)
        if self._restart is not None:
            self._go_on(self._restart)
        elif self._restart_wanted:
            self._begin_to_restart()

    def _has_room(self) -> bool:
        return len(self._workers) < self._shared.seats

    def _begin_to_restart(self) -> None:
        self._restart_wanted = False
        try:
            job = self._job.afresh()
        except SettingsInvalid as error:
            _log.error("the workers go on as they are: %s", error)
            return
        _log.info("%d workers are replaced, one after the other", self._shared.workers)
        self._restart = Restart(job, deque(range(self._shared.workers)))
        self._go_on(self._restart)

    def _go_on(self, restart: Restart) -> None:
        """Starts the next successor; one that serves relieves the worker whose place it has."""
        successor = restart.successor
        if successor is not None and successor.news.serves:
            restart.places.popleft()
            restart.successor = None
            self._job = restart.job
            for worker in self._workers.values():
                if worker.place == successor.place and worker is not successor and not worker.replaced:
                    worker.replaced = True
                    self._signal(worker, RELIEVED if worker.news.serves else signal.SIGTERM)
            if not restart.places:
                _log.info("all workers are replaced")
                self._restart = None
        if restart.successor is None and restart.places and self._has_room():
            restart.successor = self._hire(restart.places[0], restart.job, succeeds=True)

    def _give_up(self, successor: Worker, code: int) -> None:
        self._restart = None
        what = "the workers that serve go on: the one that was to replace worker %d ended with %s"
        _log.error(what, successor.place, _why(successor, code))


def _why(worker: Worker, code: int) -> str:
    return f"{code}" if worker.news.failure is None else f"{code}: {worker.news.failure}"


def _exit_code(status: int) -> int:
    """As a shell tells it: 128 and the number of the signal that ended it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


class _Brief(Silent):
    timeout = 5  # seconds; one slow client would keep the foreman from his work
