"""One chat completion: inputs, run, reply. `streaming` does the same piece by piece.

Knows programs by their executor and engines by a metered student; nothing of HTTP but the names of headers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gateway.accounting.cost import MeteredStudent
from gateway.accounting.run import MeteredRun
from gateway.catalog import Runnable, Served
from gateway.constraint import constraint
from gateway.errors import Header, RequestInvalid
from gateway.ladder import FAILURES, Ladder
from gateway.protocol import ChatRequest, answer_text, header_names
from gateway.tool_calls import MadeCall, calls_made, message_calls
from programs.execution import Outcome
from programs.json_values import write_json
from programs.program import Chat
from programs.together import together

if TYPE_CHECKING:
    from gateway.cache.remembering import Remembering

FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]


class Response(NamedTuple):
    body: bytes
    headers: list[Header]


def cost_headers(student: MeteredStudent) -> list[Header]:
    """What the engine's work cost so far; nothing where that can't be known."""
    return [] if student.usd is None else [(b"x-smallforge-cost-usd", b"%.12f" % student.usd)]


def overhead_header(student: MeteredStudent, started: float) -> Header:
    return b"x-smallforge-overhead-ms", b"%.3f" % (student.overhead(started) * 1000)


@dataclass(slots=True)
class Call:
    """One request on its way through a release, and what it took so far. `started` is perf_counter's time."""

    id: str
    started: float
    request: ChatRequest
    runnable: Runnable
    served: Served
    student: MeteredStudent
    constrain: bool = False
    """Whether the student is held to the program's format, where its engine can do that."""
    created: int = field(default_factory=lambda: int(time.time()))
    given: Mapping[str, Any] | None = None
    """The inputs of its runs, once they are known."""
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    """What its runs gave so far, by the number of the choice."""
    ladder: Ladder | None = None
    rung: str | None = None
    """The way of asking again that brought the answer, the highest of several; `height` is its place."""
    height: int = 0
    memory: Remembering | None = None
    """What gives an answer that was kept, where the request may have one."""

    def inputs(self, strict: bool) -> Mapping[str, Any]:
        """The inputs of the runs. In strict mode a request that would lose anything is refused."""
        self._check_format()
        found = self.runnable.conversation.inputs(self.request)
        self.request.ignored += found.dropped
        if strict and self.request.ignored:
            raise RequestInvalid(
                f"{', '.join(self.request.ignored[:20])} would be ignored, and this gateway is strict; "
                f"{self.runnable.release!r} takes {self.runnable.conversation.example()}.",
                param=self.request.ignored[0],
                code="would_be_ignored",
            )
        if self.constrain and self.served.student is not None:
            self.request.upstream |= constraint(self.runnable, self.served.student, found.values)
        self.given = found.values
        return found.values

    def _check_format(self) -> None:
        wanted, tools = self.request.format, self.runnable.tools
        # What an interpreted module returns no one knows before it has run.
        if wanted is not None and self.runnable.identity.kind != "interpreted":
            calls = tools.calls if tools is not None else None
            wanted.refuse_unmeetable([field for field in self.runnable.executor.outputs if field != calls])

    def headers(self) -> list[Header]:
        """What every reply says of itself before its cost is known."""
        headers = [(b"x-request-id", self.id.encode()), *self.served.headers]
        if self.memory is not None:
            headers.append(self.memory.header())
        if self.request.ignored:
            headers.append((b"x-smallforge-ignored", header_names(self.request.ignored)))
        if self.rung is not None:
            headers.append((b"x-smallforge-rung", self.rung.encode()))
        return headers

    def about(self) -> dict[str, Any]:
        """What the request took so far, with its steps where they were asked for."""
        about: dict[str, Any] = {
            "release": self.runnable.release,
            "cost_usd": self.student.usd,
            "overhead_ms": round(self.student.overhead(self.started) * 1000, 3),
        }
        if self.rung is not None:
            about["rung"] = self.rung
        trace = self.student.trace
        return about if trace is None else {**about, "steps": trace.as_list()}

    def runs(self) -> list[MeteredRun]:
        """The model of each run, one for each answer that was asked for."""
        return [MeteredRun(self.student, number) for number in range(self.request.n)]

    def count_retries(self, attempts: int) -> None:
        if attempts > 1:
            self.runnable.metrics.check_retries.inc(attempts - 1)


WriteBody = Callable[[Call, Sequence[Outcome]], dict[str, Any]]
"""Shapes the reply to a call as one of OpenAI's protocols has it."""


async def complete(call: Call, strict: bool, write: WriteBody) -> Response:
    """Runs a request to its end and shapes the reply."""
    outcomes = await _outcomes(call, call.inputs(strict))
    call.outcomes.update(enumerate(outcomes))
    body = write(call, outcomes)
    for outcome in outcomes:
        call.count_retries(outcome.attempts)
    headers = [*call.headers(), *cost_headers(call.student)]
    encoded = write_json(body)
    headers.append(overhead_header(call.student, call.started))
    return Response(encoded, headers)


def chat_completion(call: Call, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    tokens = call.student.tokens
    body: dict[str, Any] = {
        "id": call.id,
        "object": "chat.completion",
        "created": call.created,
        "model": call.runnable.release,
        "system_fingerprint": call.runnable.identity.version,
        "choices": [_choice(call, number, outcome) for number, outcome in enumerate(outcomes)],
        "usage": tokens.as_dict() if tokens is not None else None,
    }
    if call.student.trace is not None:
        body["smallforge"] = call.about()
    return body


async def _outcomes(call: Call, inputs: Mapping[str, Any]) -> list[Outcome]:
    """What the asked-for runs gave; the first that fails ends the others."""
    answers = [_kept_or_new(call, inputs, model) for model in call.runs()]
    return [await answers[0]] if len(answers) == 1 else await together(answers)


async def _kept_or_new(call: Call, inputs: Mapping[str, Any], model: MeteredRun) -> Outcome:
    if call.memory is None:
        return await _outcome(call, inputs, model)
    run = partial(_outcome, call, inputs, model)
    return await call.memory.outcome(inputs, call.request.upstream, run)


async def _outcome(call: Call, inputs: Mapping[str, Any], model: MeteredRun) -> Outcome:
    run = call.runnable.executor.run
    if call.ladder is None:
        return await run(inputs, model, call.request.upstream)
    climb = call.ladder.climb(call, inputs, model)
    while True:
        try:
            outcome = await run(inputs, model, climb.params)
        except FAILURES as error:
            climb.next(error)
        else:
            climb.answered()
            return outcome


def finish_reason(outcome: Outcome, calls: Sequence[MadeCall] = ()) -> FinishReason:
    """The engine's last word, as far as it still holds for a program's answer."""
    if calls:
        return "tool_calls"
    match outcome.finish_reason:
        case "length":
            return "length"
        case "content_filter":
            return "content_filter"
        case _:
            return "stop" if outcome.complete else "length"


def cut_at(text: str, stops: tuple[str, ...]) -> str:
    """The text up to the first of the stops."""
    found = [text.find(stop) for stop in stops]
    return text[: min((at for at in found if at >= 0), default=len(text))]


def _choice(call: Call, number: int, outcome: Outcome) -> dict[str, Any]:
    calls = calls_made(call.runnable.tools, outcome)
    return {
        "index": number,
        "message": _message(outcome, calls, call),
        "logprobs": None,
        "finish_reason": finish_reason(outcome, calls),
    }


def _message(outcome: Outcome, calls: Sequence[MadeCall], call: Call) -> dict[str, Any]:
    content = content_of(outcome, call)
    message: dict[str, Any] = {"role": "assistant", "content": (content or None) if calls else content}
    message["refusal"] = None
    reasoning = reasoning_of(outcome, call.runnable.executor.chat)
    if reasoning is not None:
        message["reasoning"] = reasoning
    if calls:
        message["tool_calls"] = message_calls(calls)
    message["outputs"] = dict(outcome.outputs)
    return message


def reasoning_of(outcome: Outcome, chat: Chat) -> str | None:
    """The reasoning fields as one text, None where there are none."""
    reasoning = [answer_text(outcome.outputs[name]) for name in chat.reasoning if name in outcome.outputs]
    return "\n\n".join(reasoning) if reasoning else None


def content_of(outcome: Outcome, call: Call) -> str:
    """The answer as the request wants it. Calls of tools are none, and stand elsewhere in a reply."""
    tools, request = call.runnable.tools, call.request
    said = (
        outcome.outputs
        if tools is None
        else {k: v for k, v in outcome.outputs.items() if k != tools.calls.name}
    )
    if request.format is None:
        return cut_at(answer_text(said.get(call.runnable.executor.chat.answer, "")), request.stop)
    # Half of an object is no object, and a call has none.
    if finish_reason(outcome) == "length" or (tools is not None and tools.calls_in(outcome.outputs)):
        return ""
    return request.format.content(said)
