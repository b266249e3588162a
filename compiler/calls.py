"""The model as a build sees it: every call recorded, counted, bounded, and made once where once is enough.

A call at temperature 0 is made once per build however often it is asked for, also while it is on its way.
A call that may succeed later is tried again. What stops a whole build, such as an engine that is gone, is
kept in `failure`, because DSPy wraps or swallows errors that pass through it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

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
    EngineServerError,
    EngineUnreachable,
)
from programs.execution import Delta, Model, Usage
from programs.release import canonical_json, digest

PAUSES = (0.5, 2.0, 8.0)  # seconds before each further try
OUTAGE = (15.0, 30.0, 60.0)  # and before those after them, where an engine is starting again or is too busy
MOST_PATIENT = 600.0  # seconds; who asks to be left alone for longer is not waited for
_STARTING = (502, 503, 504)  # what a proxy says of an engine that is not there
Result = TypeVar("Result")


class Piece(NamedTuple):
    """A whole reply as the only delta of a stream."""

    text: str
    reasoning: str
    finish_reason: str | None
    usage: Usage | None


def prompt_size(messages: Sequence[object]) -> int:
    """A prompt's length in bytes of JSON, which its tokens grow with."""
    return len(orjson.dumps(list(messages)))


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
        outage: Sequence[float] = (),
    ) -> None:
        """`pauses` go before further tries of any call, `outage` after them where the engine is away."""
        self.failure: CompilerError | EngineError | None = None
        self._model = model
        self._ledger, self.spending, self._charge, self.role = books
        self.name = str(identity.get("model") or identity.get("name") or "a model without a name")
        self._identity = digest(canonical_json(dict(identity))).encode()
        self._slots = slots
        self._answered = False  # an engine that never answered is not worth waiting for
        self._pauses, self._outage = tuple(pauses), tuple(outage)
        self._asked: Counter[str] = Counter()
        self._counts = True  # until its server says that it can't
        self.tokens_per_byte: float | None = None
        """The most that a prompt of the first phase had; None where the engine counts no tokens."""
        self._under_way: dict[str, asyncio.Task[RecordedReply]] = {}
        self._waiting: Counter[str] = Counter()
        self._sent: set[asyncio.Task[Any] | None] = set()

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
            if not self._waiting[key]:
                del self._waiting[key]
                # A search that is over lets what it has paid for come in.
                if not task.done() and not (self.spending.search_over and task in self._sent):
                    self._under_way.pop(key, None)
                    task.cancel()

    async def _recorded(
        self, key: str, occurrence: int, messages: Sequence[object], params: Mapping[str, object]
    ) -> RecordedReply:
        known = self._ledger.find(key, occurrence)
        if known is not None:
            self._answered = True
            self._learn(messages, known)
            return known
        task = asyncio.current_task()
        try:
            async with self._slots:
                with self.spending.call():
                    self._sent.add(task)
                    reply = await self._patiently(lambda: self._attempt(messages, params))
                    self._ledger.record(key, occurrence, reply, Made(self.spending.phase, self.role))
                    self.spending.add(reply, self.role)
        except (CompilerError, EngineError) as error:
            if not self._concerns_one_prompt(error):
                self.failure = self.failure or error
            raise
        finally:
            self._sent.discard(task)
        self._learn(messages, reply)
        return reply

    async def settle(self) -> None:
        """After a search that was ended: what is under way is recorded, and later phases may ask again."""
        left = list(self._under_way.values())
        try:
            await asyncio.gather(*left, return_exceptions=True)
        finally:
            for task in left:
                task.cancel()
        if isinstance(self.failure, SearchEnded):
            self.failure = None

    async def count(self, messages: Sequence[object]) -> int | None:
        """Tokens of a prompt as the server's own tokenizer makes them; None where it doesn't say.

        No answer is asked for, so nothing is paid or recorded.
        """
        tokenize = getattr(self._model, "tokenize", None)
        if tokenize is None or not self._counts:
            return None
        async with self._slots:
            tokens = await self._patiently(lambda: tokenize(list(messages)))
        self._counts = tokens is not None
        return None if tokens is None else len(tokens)

    def _learn(self, messages: Sequence[object], reply: RecordedReply) -> None:
        """How long the prompts of the first questions were: of all runs of a build the same ones."""
        if self.spending.phase == "check" and reply.usage is not None:
            size = prompt_size(messages)
            self.tokens_per_byte = max(self.tokens_per_byte or 0.0, reply.usage.prompt_tokens / size)

    def _concerns_one_prompt(self, error: Exception) -> bool:
        """A prompt that is too long; or a refusal, for its content say, by a model that answered others."""
        refused = isinstance(error, EngineRequestRefused) and self._answered
        return refused or isinstance(error, ContextWindowExceeded)

    async def _patiently(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """The result of the first try that succeeds, for as long as a further one makes sense."""
        for number in range(len(self._pauses) + len(self._outage)):
            try:
                return await attempt()
            except EngineError as error:
                pause = self._pause(error, number)
                if pause is None:
                    raise
            await asyncio.sleep(pause)
        return await attempt()

    def _pause(self, error: EngineError, number: int) -> float | None:
        """Seconds until the next try; None where there should be none."""
        limited = isinstance(error, EngineRateLimited)
        gone = isinstance(error, EngineUnreachable)
        starting = isinstance(error, EngineServerError) and error.status in _STARTING
        # Once more all the same: a connection that was opened to ask who it is may have gone stale.
        if not error.retryable or (gone and not self._answered and number):
            return None
        if number >= len(self._pauses) and not (limited or gone or starting):
            return None
        asked = error.retry_after if isinstance(error, EngineRateLimited) else None
        if asked is not None and asked > MOST_PATIENT:
            return None
        return asked or (self._pauses + self._outage)[number]

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
