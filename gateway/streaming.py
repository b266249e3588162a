"""A chat completion as server-sent events: the answer's text as it arrives, never the protocol around it.

Nothing is sent before the first text, so that an early failure still gets its own status. Texts are sent as
they come; values of other types when they are complete, because until then their text may still change its
meaning.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import orjson
from starlette.types import Send

from gateway.accounting.run import MeteredRun
from gateway.completion import Call, content_of, cut_at, finish_reason
from gateway.errors import GatewayError, Header, InternalFault
from gateway.ladder import FAILURES
from gateway.protocol import answer_text
from gateway.tool_calls import call_deltas, calls_made
from programs.execution import Outcome
from programs.interleaving import interleaved
from programs.json_values import write_json
from programs.reader import FieldDelta

if TYPE_CHECKING:
    from gateway.cache.remembering import Remembering

STREAM_HEADERS: list[Header] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]

Place = Literal["content", "reasoning"]


class Text(NamedTuple):
    """A piece of what the client sees, and where in the message it belongs."""

    place: Place
    text: str


class Writer(Protocol):
    """Writes one stream's events as one of OpenAI's protocols has them."""

    def openings(self) -> bytes: ...
    def piece(self, choice: int, piece: Text | Outcome) -> bytes: ...
    def end(self) -> bytes: ...

    def failed(self, error: GatewayError) -> bytes:
        """What ends a stream that failed after its first byte."""
        ...


async def stream(call: Call, send: Send, strict: bool, writer: Writer) -> bytes:
    """Runs a request and sends its texts; gives the events that end the stream, still to be sent.

    A failure before the first text is raised with the response not yet started; a later one becomes the last
    event.
    """
    async with aclosing(_pieces(call, call.inputs(strict))) as pieces:
        first = await anext(pieces)
        await send(
            {"type": "http.response.start", "status": 200, "headers": [*STREAM_HEADERS, *call.headers()]}
        )
        beginning = writer.openings() + writer.piece(*first)
        await send({"type": "http.response.body", "body": beginning, "more_body": True})
        async for choice, piece in pieces:
            await send({"type": "http.response.body", "body": writer.piece(choice, piece), "more_body": True})
    return writer.end()


class Chunks:
    """Writes one stream's events; all that stays the same is serialised once."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._wants_usage = call.request.include_usage or call.student.trace is not None
        constant = orjson.dumps(
            {
                "id": call.id,
                "object": "chat.completion.chunk",
                "created": call.created,
                "model": call.runnable.release,
                "system_fingerprint": call.runnable.identity.version,
            }
        )
        self._head = b"data: " + constant[:-1] + b',"choices":['
        self._tail = b'],"usage":null}\n\n' if self._wants_usage else b"]}\n\n"

    def openings(self) -> bytes:
        """One for each choice, in their order: OpenAI's client expects choices to appear so."""
        opening = {"role": "assistant", "content": ""}
        return b"".join(self.delta(choice, opening) for choice in range(self._call.request.n))

    def piece(self, choice: int, piece: Text | Outcome) -> bytes:
        if isinstance(piece, Outcome):
            return self.finish(choice, piece)
        return self.delta(choice, {piece.place: piece.text})

    def delta(self, choice: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        shown = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._head + write_json(shown) + self._tail

    def finish(self, choice: int, outcome: Outcome) -> bytes:
        calls = calls_made(self._call.runnable.tools, outcome)
        deltas = b"".join(self.delta(choice, {"tool_calls": [delta]}) for delta in call_deltas(calls))
        return deltas + self.delta(choice, {"outputs": dict(outcome.outputs)}, finish_reason(outcome, calls))

    def end(self) -> bytes:
        """The usage, if it was asked for, and the protocol's last line."""
        if not self._wants_usage:
            return b"data: [DONE]\n\n"
        tokens = self._call.student.tokens
        last = {
            "usage": tokens.as_dict() if tokens is not None else None,
            "smallforge": self._call.about(),
        }
        return self._head + b"]," + write_json(last)[1:] + b"\n\ndata: [DONE]\n\n"

    def failed(self, error: GatewayError) -> bytes:
        return error_event(error)


def error_event(error: GatewayError) -> bytes:
    """An error as the last of a stream's events."""
    return b"data: " + error.body() + b"\n\n"


async def _pieces(call: Call, inputs: Any) -> AsyncGenerator[tuple[int, Text | Outcome]]:
    """What the asked-for runs give, as it comes and counted."""
    shown = False
    texts = _texts if call.ladder is None and call.student.served.fleet is None else _texts_at_last
    runs = [texts(call, inputs, model) for model in call.runs()]
    if call.memory is not None:
        runs = [_kept_or_new(call, call.memory, inputs, run) for run in runs]
    async with aclosing(interleaved(runs)) as pieces:
        async for choice, piece in pieces:
            if isinstance(piece, Outcome):
                call.outcomes[choice] = piece
                call.count_retries(piece.attempts)
            elif not shown:
                shown = True
                call.runnable.metrics.first_token_seconds.observe(perf_counter() - call.started)
            yield choice, piece


async def _kept_or_new(
    call: Call, memory: Remembering, inputs: Any, run: AsyncGenerator[Text | Outcome]
) -> AsyncGenerator[Text | Outcome]:
    """The texts of a kept answer, where there is one; else those of the run, which is then kept."""
    kept = await memory.find(inputs, call.request.upstream)
    if kept is None:
        async with aclosing(run) as pieces:
            async for piece in pieces:
                if isinstance(piece, Outcome):
                    memory.keep(piece)
                yield piece
        return
    shown = Shown(call)
    for delta in memory.pieces(kept):
        for text in shown.feed(delta):
            yield text
    for text in shown.close(kept):
        yield text
    yield kept


async def _texts_at_last(call: Call, inputs: Any, model: MeteredRun) -> AsyncGenerator[Text | Outcome]:
    """The same of a run that begins again as long as nothing of it was shown: by the program's ladder, or
    because its engine was lost and there is another.
    """
    climb = None if call.ladder is None else call.ladder.climb(call, inputs, model)
    simple = call.runnable.identity.kind in ("plan", "neighbours")  # others have steps that count once
    while True:
        shown = False
        params = call.request.upstream if climb is None else climb.params
        try:
            async with aclosing(_texts(call, inputs, model, params)) as pieces:
                async for piece in pieces:
                    if climb is not None:
                        climb.shows()
                    shown = True
                    yield piece
        except FAILURES as error:
            if not shown and simple and await model.begins_again(error):
                continue
            if climb is None:
                raise
            climb.next(error, shown=shown)
        else:
            if climb is not None:
                climb.answered()
            return


async def _texts(
    call: Call, inputs: Any, model: MeteredRun, params: Mapping[str, object] | None = None
) -> AsyncGenerator[Text | Outcome]:
    """The run's texts as the client shall see them, then its outcome."""
    shown = Shown(call)
    async with aclosing(
        call.runnable.executor.stream(inputs, model, params or call.request.upstream)
    ) as pieces:
        async for piece in pieces:
            if isinstance(piece, Outcome):
                for text in shown.close(piece):
                    yield text
                yield piece
                return
            for text in shown.feed(piece):
                yield text
    raise InternalFault("The program ended without an outcome.")


class Shown:
    """Turns fields into the parts of a message, for one stream."""

    def __init__(self, call: Call) -> None:
        executor, tools = call.runnable.executor, call.runnable.tools
        chat = executor.chat
        self._call = call
        self._calls = tools.calls.name if tools is not None else None
        self._format = call.request.format
        self._places: dict[str, Place] = {name: "reasoning" for name in chat.reasoning}
        self._order = list(chat.reasoning)
        if self._format is None and chat.answer != self._calls:
            self._places[chat.answer] = "content"
            self._order.append(chat.answer)
        self._as_text = {field.name for field in executor.outputs if field.type == "str"}
        self._stop = StopCutter(call.request.stop)
        self._last_reasoning: str | None = None
        self._sent: set[str] = set()

    def feed(self, delta: FieldDelta) -> list[Text]:
        if delta.field not in self._as_text or delta.field not in self._places:
            return []
        return self._show(delta.field, delta.text)

    def close(self, outcome: Outcome) -> list[Text]:
        """What could only be shown at the end: values that are no texts, and a possible stop's beginning.

        Raises:
            SchemaBroken: the outputs are not as the request's schema asks.
        """
        texts: list[Text] = []
        for name in self._order:
            if name in outcome.outputs and name not in self._sent:
                texts += self._show(name, answer_text(outcome.outputs[name]))
        if self._format is not None:
            content = content_of(outcome, self._call)
            texts += [Text("content", content)] if content else []
        held = self._stop.close()
        return [*texts, Text("content", held)] if held else texts

    def _show(self, name: str, text: str) -> list[Text]:
        self._sent.add(name)
        place = self._places[name]
        if place == "content":
            text = self._stop.feed(text)
        elif self._last_reasoning not in (None, name):
            text = "\n\n" + text
        if place == "reasoning":
            self._last_reasoning = name
        return [Text(place, text)] if text else []


class StopCutter:
    """Cuts a text that comes in pieces at the first of the stops; holds back what may be the start of one."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self._stopped = False

    def feed(self, text: str) -> str:
        if not self._stops:
            return text
        if self._stopped:
            return ""
        text = self._held + text
        cut = cut_at(text, self._stops)
        if len(cut) < len(text):
            self._stopped, self._held = True, ""
            return cut
        keep = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def close(self) -> str:
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of the text that is a beginning of the stop."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
