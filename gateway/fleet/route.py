"""The way of one request's calls through a fleet; each is one call to its maker, however often it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from engine.client import Delta, EngineClient, Reply
from engine.errors import EngineError
from engine.passing import Passing
from gateway.fleet.member import Member
from gateway.fleet.retries import pause

if TYPE_CHECKING:
    from gateway.fleet.fleet import Fleet, Lease


T = TypeVar("T")


class Taken(NamedTuple):
    """How often engines were asked, and what their time cost where an hour has a price."""

    tries: int = 0
    usd: float = 0.0


NOTHING = Taken()


class Route:
    """Has the face of a client. A call that fails before its reply begins may be sent elsewhere."""

    __slots__ = ("_fleet", "_left", "_ranking", "_taken", "last")

    def __init__(self, fleet: Fleet, ranking: tuple[Member, ...]) -> None:
        self.last: Member | None = None
        self._fleet = fleet
        self._ranking = ranking
        self._taken = NOTHING
        self._left: list[Member] = []
        """Members whose reply broke off: what begins again does so elsewhere."""

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        tried: list[Member] = []
        while True:
            lease = await self._lease(tried)
            try:
                with lease as client:
                    return await client.complete(messages, params)
            except EngineError as error:
                if not await self._may_go_elsewhere(error, tried):
                    raise
            finally:
                self._pay(lease)

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Delta, None]:
        tried = [*self._left]
        begun = False
        while True:
            lease = await self._lease(tried)
            try:
                with lease as client:
                    async with aclosing(client.stream(messages, params)) as deltas:
                        async for delta in deltas:
                            begun = True
                            yield delta
                    return
            except EngineError as error:
                if begun or not await self._may_go_elsewhere(error, tried):
                    raise
            finally:
                self._pay(lease)

    async def pass_on(
        self, path: str, written: Callable[[str], bytes], take: Callable[[Passing], Awaitable[T]]
    ) -> T:
        tried: list[Member] = []
        replies: list[Passing] = []

        def noted(reply: Passing) -> Awaitable[T]:
            replies.append(reply)
            return take(reply)

        while True:
            lease = await self._lease(tried)
            try:
                with lease as client:
                    assert isinstance(client, EngineClient), "only models of servers are passed on to"
                    return await client.pass_on(path, written, noted)
            except EngineError as error:
                shown = any(reply.shown for reply in replies)
                if shown or not await self._may_go_elsewhere(error, tried):
                    raise
            finally:
                self._pay(lease)

    async def begins_again(self, error: Exception) -> bool:
        """Whether a reply that broke off before anybody saw anything of it is asked for at another member."""
        left = self._left if self.last is None else [*self._left, self.last]
        if not isinstance(error, EngineError) or not await self._may_go_elsewhere(error, left):
            return False
        self._left = left
        return True

    def taken(self) -> Taken:
        """What calls took since this was last asked."""
        taken, self._taken = self._taken, NOTHING
        return taken

    async def _lease(self, tried: list[Member]) -> Lease:
        lease = await self._fleet.lease(self._ranking, tried)
        tried.append(lease.member)
        self.last = lease.member
        return lease

    async def _may_go_elsewhere(self, error: EngineError, tried: list[Member]) -> bool:
        if not self._fleet.may_repeat(error, self._ranking, tried):
            return False
        await asyncio.sleep(pause(len(tried)))
        return True

    def _pay(self, lease: Lease) -> None:
        self._taken = Taken(self._taken.tries + 1, self._taken.usd + lease.usd)
