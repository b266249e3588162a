"""A request for a compiled program."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Send

from gateway.accounting.cost import MeteredStudent
from gateway.catalog import Catalog
from gateway.completion import Call, Response, complete
from gateway.errand import Account
from gateway.errors import CheckBroken, GatewayError, Header, OutputInvalid
from gateway.exchange import Limits
from gateway.protocol import new_completion_id, read_request
from gateway.streaming import error_event, stream


@dataclass(slots=True)
class ProgramErrand:
    """A call on its way; in strict mode a request that would lose anything is refused."""

    call: Call
    strict: bool

    @property
    def account(self) -> Account:
        runnable = self.call.runnable
        return Account(runnable.metrics, self.call.student, runnable.measured.teacher_usd_per_answer)

    async def run(self, send: Send) -> Response | bytes:
        if self.call.request.stream:
            return await stream(self.call, send, self.strict)
        return await complete(self.call, self.strict)

    def headers(self) -> list[Header]:
        paid = self.call.cost_headers() if self.call.student.calls else []
        return [*self.call.headers(), *paid]

    def failed(self, error: GatewayError) -> None:
        if isinstance(error, OutputInvalid):
            metrics, broken = self.call.runnable.metrics, isinstance(error, CheckBroken)
            (metrics.check_failures if broken else metrics.parse_failures).inc()
            self.call.count_retries(error.retries + 1)

    def error_events(self, error: GatewayError) -> bytes:
        return error_event(error)


class Programs:
    """Understands requests for the programs of one catalog."""

    def __init__(self, catalog: Catalog, limits: Limits, strict: bool) -> None:
        self._catalog = catalog
        self._limits = limits
        self._strict = strict

    async def chat(self, data: bytes, started: float) -> ProgramErrand:
        request = read_request(data, self._limits.messages)
        runnable, served, student = self._catalog.find(request.model)
        metered = MeteredStudent(student, request.max_tokens)
        call = Call(new_completion_id(), started, request, runnable, served, metered)
        return ProgramErrand(call, self._strict)
