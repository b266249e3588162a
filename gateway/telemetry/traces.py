"""Makes a trace of every request and sends it to a collector, in batches and by a thread of its own.

OpenTelemetry is imported here and in `spans` only, and this module only where an endpoint is configured. What
its own variables say (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, OTEL_BSP_*, ...)
counts as anywhere else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from engine.settings_telemetry import TelemetrySettings
from gateway.errors import Header
from gateway.telemetry.spans import VisitSpan
from gateway.visit import Visit

_SERVICE = "smallforge-gateway"
_CONTEXT_HEADERS = (b"traceparent", b"tracestate")
_LAST_WORDS = 5.0  # seconds for what is still to be sent when the gateway ends


class Traces:
    """Begins a span when a request comes, and as an observer ends it."""

    def __init__(self, settings: TelemetrySettings) -> None:
        resource = Resource({SERVICE_NAME: _SERVICE}).merge(OTELResourceDetector().detect())
        self._exporter = OTLPSpanExporter(settings.traces_url)
        # Not made the process's own provider: two gateways in one process have two.
        self._provider = TracerProvider(_sampler(settings.sample), resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("smallforge.gateway")
        self._content = settings.content
        # It would write down each part of a client's header that is none, as often as the client likes.
        logging.getLogger("opentelemetry.trace.span").setLevel(logging.ERROR)

    def begin(self, visit: Visit) -> None:
        """Follows a request, as part of its client's trace where it says that it has one."""
        parent = _context_of(visit.headers)
        visit.tracer = VisitSpan(self._tracer, visit, parent, content=self._content)

    def finished(self, visit: Visit) -> None:
        assert isinstance(visit.tracer, VisitSpan), "a request is followed from its beginning"
        visit.tracer.ended()

    async def close(self) -> None:
        """Sends what is left, for a few seconds at most."""
        giving_up = asyncio.get_running_loop().call_later(_LAST_WORDS, self._exporter.shutdown)
        try:
            await asyncio.to_thread(self._provider.shutdown)
        finally:
            giving_up.cancel()


def _sampler(share: float | None) -> Sampler | None:
    """None leaves it to OpenTelemetry's variables; a client's own decision counts in any case."""
    return None if share is None else ParentBased(TraceIdRatioBased(share))


def _context_of(headers: Sequence[Header]) -> Context:
    carried = {name.decode(): value.decode("latin-1") for name, value in headers if name in _CONTEXT_HEADERS}
    return TraceContextTextMapPropagator().extract(carried, Context())
