"""What one request takes from its engine: calls, tokens, seconds and USD, booked while the calls run.

USD are None as soon as one call's cost can't be known: unknown is never 0. `accounting.run` has the model
that a run of the program asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import NamedTuple

from engine.client import Usage
from engine.prices import token_cost
from gateway.accounting.trace import Asking, Step, StepTracer, Trace
from gateway.errors import CostCeilingReached
from gateway.fleet.route import Route
from gateway.place import Asked, ServedStudent
from gateway.protocol import TokenCounts


class Mark(NamedTuple):
    """The beginning of a call: the time, who is asked, and what the engine's hourly meter stood at."""

    time: float
    asked: Asked
    meter: float


class MeteredStudent:
    """The student of one request, over all its runs. `max_tokens` bounds the completion tokens of each run.

    Calls may run at the same time: `seconds` is while at least one did. `tokens` is None where the engine
    counted none of them, `max_usd` where the client set no ceiling, `trace` where it did not ask for the
    steps, `tracer` where the operator does not.
    """

    __slots__ = (
        "_busy", "_since", "asked", "budgeted", "calls", "elsewhere", "max_tokens", "max_usd", "runs",
        "seconds", "seen", "stopped", "tokens", "trace", "tracer", "uncounted", "usd",
    )  # fmt: skip

    def __init__(
        self,
        asked: Asked,
        max_tokens: int | None,
        trace: Trace | None = None,
        tracer: StepTracer | None = None,
    ) -> None:
        self.asked = asked
        self.max_tokens = max_tokens
        self.runs = 0
        self.calls = 0
        self.seconds = 0.0
        self.usd: float | None = 0.0
        self.tokens: TokenCounts | None = None
        self.trace = trace
        self.tracer = tracer
        self.max_usd: float | None = None
        self.budgeted = False
        """Whether a budget of USD is spent on it."""
        self.elsewhere: list[ServedStudent] = []
        """Who was asked beside the student, on the way up a ladder."""
        self.uncounted = 0
        """Calls of which nobody told how many tokens they took."""
        self.seen = 0
        """Tokens that came by, of a reply that its engine did not count."""
        self.stopped: CostCeilingReached | None = None
        """Why a call was not begun; kept, because a program may get over what is raised in it."""
        self._busy, self._since = 0, 0.0

    @property
    def priced(self) -> bool:
        """Whether what the calls cost can be known."""
        return self.served.meter is not None or self.served.price is not None

    @property
    def served(self) -> ServedStudent:
        return self.asked.served

    def wait(self) -> None:
        """From now on a call waits for the engine."""
        if self._busy == 0:
            self._since = perf_counter()
        self._busy += 1

    def stop_waiting(self) -> None:
        self._busy -= 1
        if self._busy == 0:
            self.seconds += perf_counter() - self._since

    def start(self, asked: Asked | None = None) -> Mark:
        """Begins a call, which `book` ends; of the student, where nobody else is asked.

        Raises CostCeilingReached instead, where those before have used up what the client allows.
        """
        if self.max_usd is not None and (self.usd is None or self.usd >= self.max_usd):
            self.stopped = CostCeilingReached(_ceiling_told(self.usd, self.max_usd))
            raise self.stopped
        self.calls += 1
        asked = asked or self.asked
        if asked is not self.asked:
            self.elsewhere.append(asked.served)
        meter = asked.served.meter
        return Mark(perf_counter(), asked, meter.start() if meter is not None else 0.0)

    def step(
        self,
        run: int,
        messages: Sequence[object],
        params: Mapping[str, object],
        *,
        streams: bool = False,
        operation: str = "chat",
        asked: Asked | None = None,
    ) -> Step | None:
        """Where the call that is made now is written down; None where nobody reads that."""
        if self.trace is None and self.tracer is None:
            return None
        step = Step(run, None) if self.trace is None else self.trace.begin(run, messages)
        if self.tracer is not None:
            served = (asked or self.asked).served
            step.span = self.tracer.begin(Asking(served, messages, params, streams, operation))
        return step

    def book(self, mark: Mark, usage: Usage | None, step: Step | None = None) -> float | None:
        """Counts what a call took; gives its cost in USD, None where that can't be known."""
        if usage is not None:
            counts = TokenCounts.of(usage)
            self.tokens = counts if self.tokens is None else self.tokens + counts
        else:
            self.uncounted += 1
        cost = self._cost(mark, usage)
        self.usd = None if cost is None or self.usd is None else self.usd + cost
        if step is not None:
            step.seconds, step.usage, step.usd = perf_counter() - mark.time, usage, cost
            model = mark.asked.model
            if isinstance(model, Route) and model.last is not None:
                step.member = model.last.label
            if step.span is not None:
                step.span.ended(step)
        return cost

    def overhead(self, started: float) -> float:
        """Seconds since a time of perf_counter that were not spent on the engine."""
        return max(0.0, perf_counter() - started - self.seconds)

    def _cost(self, mark: Mark, usage: Usage | None) -> float | None:
        served, model = mark.asked
        meter, price = served.meter, served.price
        if isinstance(model, Route):
            # Each engine of a fleet has a meter of its own, and a call may have been at several, or at none.
            taken = model.taken()
            if not taken.tries or (price is not None and price.usd_per_hour is not None):
                return taken.usd
        if meter is not None:
            # An engine rented by the hour costs the same whether its reply was counted or not.
            return meter.finish(mark.meter)
        return token_cost(price, usage) if price is not None and usage is not None else None


def _ceiling_told(usd: float | None, most: float) -> str:
    so_far = "can't be known" if usd is None else f"is {usd:.6f} USD"
    return f"No other step was begun: what those so far cost {so_far}, and the request allows {most:g} USD."
