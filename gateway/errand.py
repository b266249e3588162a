"""What a request turned out to be: something that runs, sends its answer, and can say what it took.

Kinds of requests differ behind this protocol; `routes.Endpoint` treats them all alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from starlette.types import Send

from gateway.accounting.cost import MeteredStudent
from gateway.completion import Response
from gateway.errors import GatewayError, Header
from gateway.limits.appetite import Appetite
from gateway.metrics import ReleaseMetrics
from gateway.visit import Visit


class Account(NamedTuple):
    """Under which labels a request is counted, and with what. `teacher_usd` is per answer."""

    metrics: ReleaseMetrics
    student: MeteredStudent
    teacher_usd: float | None = None


class Errand(Protocol):
    @property
    def id(self) -> str:
        """What the reply calls the request, and who wants to speak of it later."""
        ...

    @property
    def model(self) -> str:
        """The name by which the client asked for what answers."""
        ...

    @property
    def account(self) -> Account: ...

    def appetite(self, size: int) -> Appetite:
        """How many tokens it may take, whose body has `size` bytes; asked before it runs."""
        ...

    async def run(self, send: Send) -> Response | bytes:
        """A whole reply; or, of one that was streamed, the events that end it, still to be sent."""
        ...

    def headers(self) -> list[Header]:
        """What a failure before the first byte says of the request, its cost included."""
        ...

    def failed(self, error: GatewayError) -> None:
        """Counts what only this kind of request counts."""
        ...

    def error_events(self, error: GatewayError) -> bytes:
        """What ends a stream that failed after its first byte."""
        ...


Understand = Callable[[bytes, Visit], Awaitable[Errand]]
"""Makes an errand of a request's body and what is known of the request. Raises GatewayError."""
