"""A Lua script in Redis, called by its digest. Calls that come together travel together.

A connection for each of many requests that come at once would cost more than what they ask for; so a few
trips are under way at a time, and each takes along all that waits.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

_TRIPS = 4
_MOST = 100

Argument = str | float | int


class _Call(NamedTuple):
    keys: Sequence[str]
    arguments: Sequence[Argument]
    answer: asyncio.Future[Any]


class Script:
    def __init__(self, redis: Redis, text: str) -> None:
        self._redis = redis
        self._text = text
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._waiting: list[_Call] = []
        self._trips: set[asyncio.Task[None]] = set()

    async def __call__(self, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """What the script gives. Raises RedisError and OSError."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(keys, arguments, answer))
        if len(self._trips) < _TRIPS:
            trip = asyncio.create_task(self._travel())
            self._trips.add(trip)
            trip.add_done_callback(self._trips.discard)
        return await answer

    async def _travel(self) -> None:
        while self._waiting:
            calls, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            try:
                answers = await self._send(calls)
            except (RedisError, OSError) as error:
                # Who waits behind them would only wait for the same silence.
                calls, self._waiting = [*calls, *self._waiting], []
                answers = [error] * len(calls)
            except BaseException:
                for call in calls:
                    call.answer.cancel()
                raise
            for call, answer in zip(calls, answers, strict=True):
                if call.answer.done():  # whoever asked was cancelled
                    continue
                if isinstance(answer, Exception):
                    call.answer.set_exception(answer)
                else:
                    call.answer.set_result(answer)

    async def _send(self, calls: Sequence[_Call]) -> list[Any]:
        answers = await self._run(calls)
        unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            # A Redis that was started again has forgotten it; what it doesn't know it has not run.
            await self._redis.script_load(self._text)
            for at, answer in zip(unknown, await self._run([calls[at] for at in unknown]), strict=True):
                answers[at] = answer
        return answers

    async def _run(self, calls: Sequence[_Call]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for call in calls:
                pipeline.evalsha(self._digest, len(call.keys), *call.keys, *call.arguments)
            return list(await pipeline.execute(raise_on_error=False))
