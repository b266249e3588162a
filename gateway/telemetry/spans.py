"""The spans of one request: what came in, the program that ran for it, each call of an engine.

Names and attributes are those of OpenTelemetry's conventions for HTTP and generative AI (`gen_ai.*`); what
they have no word for is `smallforge.*`. Prompts and answers are recorded only where the operator wants them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from engine.trace_context import call_belongs_to
from gateway.accounting.trace import Asking, Step
from gateway.visit import Visit

Attributes = dict[str, Any]

_PARAMS = ("max_tokens", "temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")
_ABANDONED = ("CancelledError", "GeneratorExit", "ClientGone")


class VisitSpan:
    """The whole request; in it, from the first call on, the program, and in that its steps."""

    def __init__(self, tracer: Tracer, visit: Visit, parent: Context, *, content: bool) -> None:
        self._tracer = tracer
        self._visit = visit
        self._content = content
        self._program: Span | None = None
        about = {"http.request.method": "POST", "http.route": visit.path, "url.path": visit.path}
        self._span = tracer.start_span(f"POST {visit.path}", parent, SpanKind.SERVER, about)

    def begin(self, asking: Asking) -> CallSpan:
        """Follows a call of an engine, which is told to which span its own belong."""
        parent = set_span_in_context(self._of_program() or self._span, Context())
        model = asking.student.student.client.model
        name = f"{asking.operation} {model}"
        span = self._tracer.start_span(name, parent, SpanKind.CLIENT, dict(_asked(asking, model)))
        headers: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(headers, set_span_in_context(span, Context()))
        call_belongs_to(headers)
        if self._content and asking.messages:
            span.set_attribute("gen_ai.input.messages", _as_parts(asking.messages))
        return CallSpan(span, content=self._content)

    def ended(self) -> None:
        visit, error = self._visit, self._visit.error
        about: Attributes = {"http.response.status_code": visit.status, "smallforge.request_id": visit.id}
        if visit.caller is not None:
            about["smallforge.key_id"] = visit.caller.id
        if visit.errand is not None:
            student = visit.errand.account.student
            if student.calls and student.usd is not None:
                about["smallforge.cost_usd"] = student.usd
        word = None if error is None else error.code or type(error).__name__
        if self._program is not None:
            _end(self._program, word)
        self._span.set_attributes(about)
        # The conventions call only what the server did wrong an error of its span.
        _end(self._span, word, failed=visit.status >= 500)

    def _of_program(self) -> Span | None:
        """The span of the compiled program, begun at its first call; None for an engine's own model."""
        errand = self._visit.errand
        if self._program is None and errand is not None and errand.account.metrics.release:
            metrics = errand.account.metrics
            about = {
                "gen_ai.operation.name": "invoke_workflow",
                "gen_ai.workflow.name": metrics.model,
                "smallforge.release": f"{metrics.model}@{metrics.release}",
            }
            parent = set_span_in_context(self._span, Context())
            self._program = self._tracer.start_span(
                f"invoke_workflow {metrics.model}", parent, SpanKind.INTERNAL, about
            )
        return self._program


class CallSpan:
    """One call of an engine."""

    def __init__(self, span: Span, *, content: bool) -> None:
        self._span = span
        self._content = content

    def ended(self, step: Step) -> None:
        self._span.set_attributes(dict(_answered(step)))
        if self._content and step.reply:
            said = {"role": "assistant", "content": step.reply, "finish_reason": step.finish_reason}
            self._span.set_attribute("gen_ai.output.messages", _as_parts([said]))
        _end(self._span, step.error)


def _end(span: Span, error: str | None, *, failed: bool = True) -> None:
    if error is not None:
        span.set_attribute("error.type", error)
        if failed and error not in _ABANDONED:
            span.set_status(Status(StatusCode.ERROR))
    span.end()


def _asked(asking: Asking, model: str) -> Iterator[tuple[str, Any]]:
    student = asking.student.student
    yield "gen_ai.operation.name", asking.operation
    yield "gen_ai.provider.name", student.engine.kind
    yield "gen_ai.request.model", model
    yield from _server(student.client.url)
    if asking.streams:
        yield "gen_ai.request.stream", True
    for name in _PARAMS:
        if isinstance(value := asking.params.get(name), int | float):
            yield f"gen_ai.request.{name}", value
    stop = asking.params.get("stop")
    if isinstance(stop, list | tuple):
        yield "gen_ai.request.stop_sequences", [str(one) for one in stop]


def _server(url: str) -> Iterator[tuple[str, Any]]:
    address = urlsplit(url)
    if address.hostname is not None:
        yield "server.address", address.hostname
        yield "server.port", address.port or (443 if address.scheme == "https" else 80)


def _answered(step: Step) -> Iterator[tuple[str, Any]]:
    if step.finish_reason is not None:
        yield "gen_ai.response.finish_reasons", [step.finish_reason]
    if step.first is not None:
        yield "gen_ai.response.time_to_first_chunk", step.first
    if step.usd is not None:
        yield "smallforge.cost_usd", step.usd
    if step.rung is not None:
        yield "smallforge.rung", step.rung
    if step.member is not None:
        yield from _server(f"//{step.member}")
    yield "smallforge.choice", step.run
    usage = step.usage
    if usage is None:
        return
    yield "gen_ai.usage.input_tokens", usage.prompt_tokens
    yield "gen_ai.usage.output_tokens", usage.completion_tokens
    if usage.cached_tokens is not None:
        yield "gen_ai.usage.cache_read.input_tokens", usage.cached_tokens
    if usage.reasoning_tokens is not None:
        yield "gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens


def _as_parts(messages: Any) -> str:
    """Messages in the conventions' form, as JSON; parts of a prompt are serialised already."""
    read: list[Mapping[str, Any]] = orjson.loads(orjson.dumps(list(messages)))
    return orjson.dumps([_with_parts(message) for message in read]).decode()


def _with_parts(message: Mapping[str, Any]) -> Mapping[str, Any]:
    content = message.get("content")
    texts = [content] if isinstance(content, str) else [part.get("text", "") for part in content or ()]
    parts = [{"type": "text", "content": text} for text in texts]
    finish = message.get("finish_reason")
    return {"role": message.get("role"), "parts": parts} | ({"finish_reason": finish} if finish else {})
