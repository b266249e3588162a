"""The model as a build sees it: every call recorded, counted, bounded, and made once where once is enough.

A call at temperature 0 is made once per build however often it is asked for, also while it is on its way.
A call that may succeed later is tried again. What stops a whole build, such as an engine that is gone, is
kept in `failure`, because DSPy wraps or swallows errors that pass through it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple

import orjson

from compiler.charge import Charge
from compiler.errors import CompilerError, SearchEnded
from compiler.events import Role
from compiler.ledger import Ledger, Made, RecordedReply, RecordedUsage
from compiler.spending import Spending
from engine.errors import (
    ContextWindowExceeded,
    EngineError,
    EngineRateLimited,
    EngineRequestRefused,
    EngineUnreachable,
)
from programs.execution import Delta, Model, Usage
from programs.release import canonical_json, digest

PAUSES = (0.5, 2.0, 8.0)  # seconds before each further try


class Piece(NamedTuple):
    """A whole reply as the only delta of a stream."""

    text: str
    reasoning: str
    finish_reason: str | None
    usage: Usage | None


class Books(NamedTuple):
    """Where calls are written down, and what they cost."""

    ledger: Ledger
    spending: Spending
    charge: Charge
    role: Role = "student"


class RecordedModel:
    """A `Model` over another one; `identity` says which, so that its calls are never taken for another's."""

    def __init__(
        self,
        model: Model,
        identity: Mapping[str, object],
        books: Books,
        slots: asyncio.Semaphore,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self.failure: CompilerError | EngineError | None = None
        self._model = model
        self._ledger, self._spending, self._charge, self.role = books
        self._identity = digest(canonical_json(dict(identity))).encode()
        self._slots = slots
        self._answered = False  # an engine that never answered is not worth waiting for
        self._pauses = pauses
        self._asked: Counter[str] = Counter()
        self._under_way: dict[str, asyncio.Task[RecordedReply]] = {}
        self._waiting: Counter[str] = Counter()

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> RecordedReply:
        key = digest(self._identity + orjson.dumps([list(messages), params], option=orjson.OPT_SORT_KEYS))
        if params.get("temperature") == 0:
            return await self._once(key, messages, params)
        occurrence = self._asked[key]
        self._asked[key] += 1
        return await self._recorded(key, occurrence, messages, params)

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Delta, None]:
        reply = await self.complete(messages, params)
        yield Piece(reply.text, reply.reasoning, reply.finish_reason, reply.usage)

    async def _once(
        self, key: str, messages: Sequence[object], params: Mapping[str, object]
    ) -> RecordedReply:
        """Joins the same call where it is under way; it is given up when all who wait for it have left."""
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.ensure_future(self._recorded(key, 0, messages, params))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        self._waiting[key] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key] and not task.done():
                self._under_way.pop(key, None)
                task.cancel()

    async def _recorded(
        self, key: str, occurrence: int, messages: Sequence[object], params: Mapping[str, object]
    ) -> RecordedReply:
        known = self._ledger.find(key, occurrence)
        if known is not None:
            return known
        try:
            async with self._slots:
                self._spending.check()
                reply = await self._ask(messages, params)
                self._ledger.record(key, occurrence, reply, Made(self._spending.phase, self.role))
                self._spending.add(reply, self.role)
        except (CompilerError, EngineError) as error:
            if not self._concerns_one_prompt(error):
                self.failure = self.failure or error
            raise
        return reply

    def forgive_ceiling(self) -> None:
        """After a search that a ceiling ended, calls of the phases that follow are made again."""
        if isinstance(self.failure, SearchEnded):
            self.failure = None

    def _concerns_one_prompt(self, error: Exception) -> bool:
        """A prompt that is too long; or a refusal, for its content say, by a model that answered others."""
        refused = isinstance(error, EngineRequestRefused) and self._answered
        return refused or isinstance(error, ContextWindowExceeded)

    async def _ask(self, messages: Sequence[object], params: Mapping[str, object]) -> RecordedReply:
        for pause in self._pauses:
            try:
                return await self._attempt(messages, params)
            except EngineError as error:
                if not error.retryable or (isinstance(error, EngineUnreachable) and not self._answered):
                    raise
                asked = error.retry_after if isinstance(error, EngineRateLimited) else None
            await asyncio.sleep(asked or pause)
        return await self._attempt(messages, params)

    async def _attempt(self, messages: Sequence[object], params: Mapping[str, object]) -> RecordedReply:
        begun = time.monotonic()
        bill = self._charge.open()
        try:
            reply = await self._model.complete(messages, params)
        finally:
            bill.close()
        self._answered = True
        usd = bill.usd(reply.usage)
        usage, counted = None, reply.usage
        if counted is not None:
            usage = RecordedUsage(
                counted.prompt_tokens, counted.completion_tokens, counted.cached_tokens, usd
            )
        seconds = time.monotonic() - begun
        return RecordedReply(
            text=reply.text,
            reasoning=reply.reasoning,
            finish_reason=reply.finish_reason,
            model=reply.model,
            usage=usage,
            usd=usd,
            seconds=seconds,
        )
