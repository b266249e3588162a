"""A real collector: takes OTLP over HTTP as protobuf, and keeps the spans that it was sent."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.app_thread import serving_in_thread
from tests.gateway.serving import wait_until

KINDS = {1: "internal", 2: "server", 3: "client"}


@dataclass(frozen=True)
class Received:
    """One span, its ids as W3C writes them."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    seconds: float
    failed: bool
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Collector:
    url: str = ""
    spans: list[Received] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    raw: bytes = b""
    status: int = 200

    async def take(self, request: web.Request) -> web.Response:
        data = await request.read()
        if self.status != 200:
            return web.Response(status=self.status)
        self.raw += gzip.decompress(data) if request.headers.get("content-encoding") == "gzip" else data
        for of_resource in ExportTraceServiceRequest.FromString(data).resource_spans:
            about = {one.key: _value(one.value) for one in of_resource.resource.attributes}
            self.services.add(str(about["service.name"]))
            self.spans += [_received(span) for scope in of_resource.scope_spans for span in scope.spans]
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    def waited_for(self, *names: str) -> list[Received]:
        """The spans of these names, once there is one of each, in the order of the names."""
        wait_until(lambda: {span.name for span in self.spans} >= set(names))
        return [next(span for span in self.spans if span.name == name) for name in names]


@contextmanager
def collecting() -> Iterator[Collector]:
    """The collector in a thread of its own, gone when the block ends."""
    collector, app = Collector(), web.Application()
    app.router.add_post("/v1/traces", collector.take)
    with serving_in_thread(app) as collector.url:
        yield collector


def _received(span: Any) -> Received:
    return Received(
        span.name,
        KINDS[span.kind],
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        span.status.code == 2,
        {one.key: _value(one.value) for one in span.attributes},
    )


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind)
    return [_value(one) for one in found.values] if kind == "array_value" else found
