"""What one request took from its engine: calls, tokens, seconds and USD, booked while the calls run.

A student is used through its `MeteredStudent`, which belongs to one request. USD are None as soon as one
call's cost can't be known: unknown is never 0.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from time import perf_counter

from engine.client import Delta, Reply, Usage
from engine.errors import EngineUnreachable
from engine.prices import token_cost
from gateway.protocol import TokenCounts
from gateway.students import ServedStudent


class MeteredStudent:
    """The model of one request. `max_tokens` bounds the completion tokens of all its calls together.

    Calls may run at the same time: `seconds` is while at least one did, and a call may say no more than those
    before it have left over.
    """

    __slots__ = (
        "_bound", "_busy", "_cached", "_completion", "_counted", "_promised", "_prompt", "_served", "_since",
        "calls", "seconds", "usd",
    )  # fmt: skip

    def __init__(self, served: ServedStudent, max_tokens: int | None) -> None:
        self.calls = 0
        self.seconds = 0.0
        self.usd: float | None = 0.0
        self._served = served
        self._bound = max_tokens
        self._prompt = self._completion = 0
        self._promised = 0  # completion tokens that calls under way may still take
        self._busy, self._since = 0, 0.0
        self._cached: int | None = None
        self._counted = False

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        client = self._served.student.client
        if self._bound is not None and self._completion + self._promised >= self._bound:
            return Reply("", "", "length", None, client.model)
        params, promised = self._bounded(params)
        usage: Usage | None = None
        mark = self._start()
        self._wait()
        try:
            reply = await client.complete(messages, params)
            usage = reply.usage
        except EngineUnreachable:
            self._served.suspect.set()
            raise
        finally:
            self._stop_waiting()
            self._promised -= promised
            self._book(mark, usage)
        return reply

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Delta, None]:
        params, promised = self._bounded(params)
        usage: Usage | None = None
        deltas = self._served.student.client.stream(messages, params)
        mark = self._start()
        self._wait()
        try:
            async for delta in deltas:
                usage = delta.usage or usage
                self._stop_waiting()
                try:
                    yield delta
                finally:
                    self._wait()
        except EngineUnreachable:
            self._served.suspect.set()
            raise
        finally:
            self._stop_waiting()
            await deltas.aclose()
            self._promised -= promised
            self._book(mark, usage)

    @property
    def tokens(self) -> TokenCounts | None:
        """All calls together; None where the engine counted none of them."""
        return TokenCounts(self._prompt, self._completion, self._cached) if self._counted else None

    def _bounded(self, params: Mapping[str, object]) -> tuple[Mapping[str, object], int]:
        """The parameters within the bound, and how many tokens they promise."""
        if self._bound is None:
            return params, 0
        own, left = params.get("max_tokens"), self._bound - self._completion - self._promised
        promised = min(own, left) if isinstance(own, int) else left
        self._promised += promised
        return {**params, "max_tokens": promised}, promised

    def _wait(self) -> None:
        if self._busy == 0:
            self._since = perf_counter()
        self._busy += 1

    def _stop_waiting(self) -> None:
        self._busy -= 1
        if self._busy == 0:
            self.seconds += perf_counter() - self._since

    def _start(self) -> float:
        self.calls += 1
        meter = self._served.meter
        return meter.start() if meter is not None else 0.0

    def _book(self, mark: float, usage: Usage | None) -> None:
        if usage is not None:
            self._counted = True
            self._prompt += usage.prompt_tokens
            self._completion += usage.completion_tokens
            if usage.cached_tokens is not None:
                self._cached = (self._cached or 0) + usage.cached_tokens
        cost = self._cost(mark, usage)
        self.usd = None if cost is None or self.usd is None else self.usd + cost

    def _cost(self, mark: float, usage: Usage | None) -> float | None:
        meter, price = self._served.meter, self._served.price
        if meter is not None:
            # An engine rented by the hour costs the same whether its reply was counted or not.
            return meter.finish(mark)
        return token_cost(price, usage) if price is not None and usage is not None else None
