"""The model that one run of a program asks: the request's student, bounded and seeded for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from time import perf_counter

from engine.client import Delta, Reply, Usage
from engine.errors import EngineUnreachable
from gateway.accounting.cost import Mark, MeteredStudent
from gateway.accounting.trace import Step
from gateway.fleet.route import Route
from gateway.place import Asked

_SEEDS = 2**64  # engines take signed numbers of 64 bits


class MeteredRun:
    """A student for one answer of a request; what its calls take is booked on the request.

    A call may say no more than those before it have left over of the run's bound. The number of the run is
    added to its seed: several answers with the same seed would be the same answer. `asked` is who answers;
    `turn_to` makes that somebody else.
    """

    __slots__ = ("_completion", "_number", "_promised", "_rung", "_student", "asked")

    def __init__(self, student: MeteredStudent, number: int = 0) -> None:
        student.runs += 1
        self.asked = student.asked
        self._student = student
        self._number = number
        self._rung: str | None = None
        self._completion = 0
        self._promised = 0  # completion tokens that calls under way may still take

    def turn_to(self, asked: Asked, rung: str) -> None:
        """From now on calls go there, on this rung of the program's ladder."""
        self.asked, self._rung = asked, rung

    def is_used_up(self) -> bool:
        """Whether its calls have said, or may yet say, all that they may."""
        bound = self._student.max_tokens
        return bound is not None and self._completion + self._promised >= bound

    async def begins_again(self, error: Exception) -> bool:
        """Whether an answer that broke off before anybody saw anything of it is worth another try."""
        model = self.asked.model
        return isinstance(model, Route) and await model.begins_again(error)

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        student = self._student
        if self.is_used_up():
            return Reply("", "", "length", None, self.asked.served.student.client.model)
        params, promised = self._bounded(self._seeded(params))
        usage: Usage | None = None
        mark, step = student.start(self.asked), self._step(messages, params)
        student.wait()
        try:
            reply = await mark.asked.model.complete(messages, params)
            usage = reply.usage
            if step is not None:
                step.reply, step.finish_reason = reply.text, reply.finish_reason
        except BaseException as error:
            self._note(error, step)
            raise
        finally:
            student.stop_waiting()
            self._promised -= promised
            self._book(mark, usage, step)
        return reply

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Delta, None]:
        student = self._student
        if self.is_used_up():
            yield Delta(finish_reason="length")
            return
        params, promised = self._bounded(self._seeded(params))
        usage: Usage | None = None
        mark, step = student.start(self.asked), self._step(messages, params, streams=True)
        deltas = mark.asked.model.stream(messages, params)
        student.wait()
        try:
            async for delta in deltas:
                usage = delta.usage or usage
                if step is not None:
                    step.reply += delta.text
                    step.finish_reason = delta.finish_reason or step.finish_reason
                    step.first = perf_counter() - mark.time if step.first is None else step.first
                student.stop_waiting()
                try:
                    yield delta
                finally:
                    student.wait()
        except BaseException as error:
            self._note(error, step)
            raise
        finally:
            student.stop_waiting()
            await deltas.aclose()
            self._promised -= promised
            self._book(mark, usage, step)

    def _note(self, error: BaseException, step: Step | None) -> None:
        if isinstance(error, EngineUnreachable):
            self.asked.served.suspect.set()
        if step is not None:
            step.failed(error)

    def _step(
        self, messages: Sequence[object], params: Mapping[str, object], *, streams: bool = False
    ) -> Step | None:
        step = self._student.step(self._number, messages, params, streams=streams, asked=self.asked)
        if step is not None:
            step.rung = self._rung
        return step

    def _book(self, mark: Mark, usage: Usage | None, step: Step | None) -> None:
        if usage is not None:
            self._completion += usage.completion_tokens
        self._student.book(mark, usage, step)

    def _bounded(self, params: Mapping[str, object]) -> tuple[Mapping[str, object], int]:
        """The parameters within the bound, and how many tokens they promise."""
        bound = self._student.max_tokens
        if bound is None:
            return params, 0
        own, left = params.get("max_tokens"), bound - self._completion - self._promised
        promised = min(own, left) if isinstance(own, int) else left
        self._promised += promised
        return {**params, "max_tokens": promised}, promised

    def _seeded(self, params: Mapping[str, object]) -> Mapping[str, object]:
        """The parameters with this run's own seed, where there is one."""
        seed = params.get("seed")
        if not self._number or not isinstance(seed, int):
            return params
        return {**params, "seed": (seed + self._number + _SEEDS // 2) % _SEEDS - _SEEDS // 2}
