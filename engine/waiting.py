"""How long a call may take: to connect, to begin its reply, between two parts of it, and in all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal, TypeVar

import aiohttp

from engine.errors import EngineTimeout, Phase

T = TypeVar("T")
Reading = Literal["first_byte", "between"]

# How long a finished stream may take to close by itself before its connection is given up instead of reused.
_LINGER_SECONDS = 0.05


@dataclass(frozen=True)
class Timeouts:
    """Seconds allowed to connect, to the first byte of the reply, between two reads of it, and in all.

    A connection that nothing used for `idle` seconds is not used again: vLLM and LM Studio close
    theirs after 5, and a request sent just then is lost.
    """

    connect: float = 5.0
    first_byte: float = 120.0
    between: float = 60.0
    total: float = 600.0
    idle: float = 4.0


DEFAULT_TIMEOUTS = Timeouts()


class Clock:
    """The time limits of one call, counted from its beginning."""

    def __init__(self, timeouts: Timeouts, url: str) -> None:
        self.timeouts = timeouts
        self._url = url
        self._now = asyncio.get_running_loop().time
        self._begun = self._now()

    async def limit(self, work: Awaitable[T], phase: Reading) -> T:
        """Await `work` until its phase or the whole call is out of time. Raises EngineTimeout."""
        ending: Phase = phase
        seconds = self.timeouts.first_byte if phase == "first_byte" else self.timeouts.between
        until = (self._begun if phase == "first_byte" else self._now()) + seconds
        if self._begun + self.timeouts.total < until:
            ending, seconds, until = "total", self.timeouts.total, self._begun + self.timeouts.total
        try:
            async with asyncio.timeout_at(until):
                return await work
        except aiohttp.ServerTimeoutError:
            raise
        except TimeoutError as exc:
            raise EngineTimeout.in_phase(self._url, ending, seconds) from exc


async def linger(response: aiohttp.ClientResponse) -> None:
    """Wait a moment for the end of a stream that has said it is done, so that its connection serves again."""
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            await response.content.read()
    except TimeoutError:
        return
