"""The W3C trace context that calls of an engine carry, so that its spans join the trace of who asked.

It travels in the context and not in arguments: what stands between who traces and the client (retries, pools,
DSPy) need not know of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

TRACE_LINES: ContextVar[bytes] = ContextVar("trace_lines", default=b"")
"""The headers of the span that the next call belongs to, as they travel; empty where nothing is traced."""


def call_belongs_to(headers: Mapping[str, str]) -> None:
    """From now on calls in this context carry these headers: `traceparent` and `tracestate`."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    # A line break in a header would let whoever wrote it write more of the request.
    TRACE_LINES.set(
        "".join(f"{line}\r\n" for line in lines if line.isascii() and line.isprintable()).encode()
    )
