"""What a worker is given to do its work, and the line on which it tells its foreman how it goes."""

from __future__ import annotations

import os
import select
import signal
import socket
from dataclasses import dataclass
from typing import Protocol

from gateway.shared import Shared

RELIEVED = signal.SIGHUP
"""What the foreman sends a worker when another serves in its place."""
_SERVES, _FAILS, _END = b"+", b"-", b"\0"


class Report(Protocol):
    """Whom a worker tells how it goes."""

    def serves(self, models: str) -> None:
        """It answers requests now, for these models."""
        ...

    def fails(self, sentence: str) -> None:
        """Why it can't."""
        ...

    def leaves(self) -> None:
        """It is about to take no more connections. Called in a signal's handler, and maybe twice."""
        ...


@dataclass(frozen=True)
class Post:
    """A worker's place. One that `succeeds` another must not accept a request before it can answer it."""

    shared: Shared
    listener: socket.socket
    report: Report
    succeeds: bool = False


class Job(Protocol):
    """What the workers do."""

    def work(self, post: Post) -> int:
        """Serves until a signal ends it; gives the exit code."""
        ...

    def afresh(self) -> Job:
        """The same by the configuration as it is now. Raises SettingsInvalid."""
        ...


class Line:
    """A worker's end; the foreman also hears it break when the worker dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def serves(self, models: str) -> None:
        self._say(_SERVES, models)

    def fails(self, sentence: str) -> None:
        self._say(_FAILS, sentence)

    def leaves(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _say(self, kind: bytes, text: str) -> None:
        if self._descriptor is not None:
            os.write(self._descriptor, kind + text.encode() + _END)


class News:
    """The foreman's end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._heard = b""
        self.broken = False

    @property
    def serves(self) -> bool:
        return self._told(_SERVES) is not None

    @property
    def models(self) -> str:
        return self._told(_SERVES) or ""

    @property
    def failure(self) -> str | None:
        return self._told(_FAILS)

    def listen(self) -> None:
        """Hears what has been said since, and whether the line is broken; does not wait."""
        while not self.broken and select.select([self._descriptor], [], [], 0)[0]:
            self._hear()

    def wait(self) -> None:
        """Waits for the first that is said."""
        while not self.broken and _END not in self._heard:
            self._hear()

    def hang_up(self) -> None:
        os.close(self._descriptor)

    def _hear(self) -> None:
        heard = os.read(self._descriptor, 65536)
        self._heard += heard
        self.broken = not heard

    def _told(self, kind: bytes) -> str | None:
        told = [it[1:] for it in self._heard.split(_END)[:-1] if it.startswith(kind)]
        return told[-1].decode() if told else None


def new_line() -> tuple[News, Line]:
    heard, said = os.pipe()
    return News(heard), Line(said)
