"""A request for a compiled program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from starlette.types import Send

from engine.settings_access import CapSettings
from gateway.access.caller import check_model
from gateway.accounting.cost import MeteredStudent
from gateway.accounting.trace import Trace
from gateway.caps import read_request
from gateway.catalog import Catalog
from gateway.completion import Call, Response, chat_completion, complete, cost_headers
from gateway.errand import Account
from gateway.errors import CheckBroken, GatewayError, Header, OutputInvalid, RequestInvalid, RunTooLong
from gateway.ladder import Ladder
from gateway.limits.appetite import Appetite
from gateway.policy import FIELDS, FIELDS_WITH_TOOLS
from gateway.protocol import ChatRequest, new_id, request_from
from gateway.response_events import ResponseEvents
from gateway.responses import ResponseObject
from gateway.responses_request import Repeated, in_responses_words, read_responses_request
from gateway.salt import salt_of
from gateway.streaming import Chunks, Writer, stream
from gateway.visit import TRACE, Visit
from programs.execution import Outcome

if TYPE_CHECKING:
    from gateway.cache.cache import ResponseCache


class Speech(Protocol):
    """One of OpenAI's protocols: how it writes a whole reply, and how a stream."""

    def body(self, call: Call, outcomes: Sequence[Outcome]) -> dict[str, Any]: ...
    def writer(self, call: Call) -> Writer: ...

    def told(self, error: GatewayError) -> None:
        """Puts an error into the words of the protocol, where it speaks of a chat's fields."""
        ...


class ChatSpeech:
    def body(self, call: Call, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        return chat_completion(call, outcomes)

    def writer(self, call: Call) -> Writer:
        return Chunks(call)

    def told(self, error: GatewayError) -> None:
        """Errors speak of chats by themselves."""


@dataclass(frozen=True)
class ResponsesSpeech:
    repeated: Repeated

    def body(self, call: Call, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        return ResponseObject(call, self.repeated).whole(outcomes[0])

    def writer(self, call: Call) -> Writer:
        return ResponseEvents(call, ResponseObject(call, self.repeated))

    def told(self, error: GatewayError) -> None:
        in_responses_words(error)


class ProgramErrand:
    """A call on its way; in strict mode a request that would lose anything is refused."""

    __slots__ = ("_speech", "_strict", "_writer", "call")

    def __init__(self, call: Call, speech: Speech, strict: bool) -> None:
        self.call = call
        self._speech = speech
        self._strict = strict
        self._writer = speech.writer(call) if call.request.stream else None

    @property
    def id(self) -> str:
        return self.call.id

    @property
    def model(self) -> str:
        return self.call.request.model

    @property
    def account(self) -> Account:
        runnable = self.call.runnable
        return Account(runnable.metrics, self.call.student, runnable.measured.teacher_usd_per_answer)

    def appetite(self, size: int) -> Appetite:
        request = self.call.request
        return self.call.runnable.appetite.of(size, request.n, request.max_tokens)

    async def run(self, send: Send) -> Response | bytes:
        if self._writer is not None:
            return await stream(self.call, send, self._strict, self._writer)
        return await complete(self.call, self._strict, self._speech.body)

    def headers(self) -> list[Header]:
        paid = cost_headers(self.call.student) if self.call.student.calls else []
        return [*self.call.headers(), *paid]

    def failed(self, error: GatewayError) -> None:
        self._speech.told(error)
        if self.call.student.trace is not None:
            error.about = self.call.about()
        if isinstance(error, RunTooLong):
            self.call.runnable.metrics.limit_failures.inc()
        if isinstance(error, OutputInvalid):
            metrics, broken = self.call.runnable.metrics, isinstance(error, CheckBroken)
            (metrics.check_failures if broken else metrics.parse_failures).inc()
            self.call.count_retries(error.retries + 1)

    def error_events(self, error: GatewayError) -> bytes:
        assert self._writer is not None, "only a stream can fail after its first byte"
        return self._writer.failed(error)


@dataclass(frozen=True)
class Rules:
    """What the operator decides for all requests: whether they may lose parts in silence, whether traced ones
    show prompts and raw replies, whether students are held to their programs' format, how failed answers of a
    program are asked for again, and whether callers are kept apart in an engine's prefix cache.
    """

    strict: bool = False
    trace: bool = False
    constrain: bool = False
    ladders: Mapping[str, Ladder] = field(default_factory=dict)
    salt: bool = False


class Programs:
    """Understands requests for the programs of one catalog."""

    def __init__(
        self, catalog: Catalog, caps: CapSettings, rules: Rules, cache: ResponseCache | None = None
    ) -> None:
        self._catalog = catalog
        self._cache = cache
        self._caps = caps
        self._rules = rules
        self._chat = ChatSpeech()

    async def chat(self, data: bytes, visit: Visit) -> ProgramErrand:
        return self.chat_of(read_request(data, self._caps), visit)

    def chat_of(self, body: Mapping[str, Any], visit: Visit) -> ProgramErrand:
        """The same of a body that was read."""
        check_model(visit.caller, body)
        fields = FIELDS_WITH_TOOLS if self._may_call_tools(body) else FIELDS
        request = request_from(body, self._caps.messages, fields)
        call = self._call(new_id("chatcmpl-"), request, visit)
        return ProgramErrand(call, self._chat, self._rules.strict)

    async def responses(self, data: bytes, visit: Visit) -> ProgramErrand:
        body = read_request(data, self._caps)
        check_model(visit.caller, body)
        with_tools = self._may_call_tools(body)
        request, repeated = read_responses_request(body, self._caps.messages, with_tools=with_tools)
        call = self._call(new_id("resp_"), request, visit)
        return ProgramErrand(call, ResponsesSpeech(repeated), self._rules.strict)

    def _call(self, id: str, request: ChatRequest, visit: Visit) -> Call:
        runnable, served, student = self._catalog.find(request.model, visit)
        if self._rules.salt:
            request.upstream |= salt_of(visit.caller, student)
        asked = student.asked_for(runnable.identity.version, runnable.student)
        metered = MeteredStudent(asked, request.max_tokens, self._trace(visit.own), visit.tracer)
        call = Call(id, visit.started, request, runnable, served, metered, constrain=self._rules.constrain)
        call.ladder = self._rules.ladders.get(runnable.identity.program)
        if self._cache is not None:
            call.memory = self._cache.remembering(request, runnable, metered, visit)
        return call

    def _may_call_tools(self, body: Mapping[str, Any]) -> bool:
        """Whether the asked program declares tools; of one that can't be asked now something else is told."""
        model = body.get("model")
        served = self._catalog.models.get(model) if isinstance(model, str) else None
        runnable = served.loaded.runnable if served is not None else None
        return runnable is None or runnable.tools is not None

    def _trace(self, headers: Sequence[Header]) -> Trace | None:
        """Where the steps go, if the request asks for them. Raises RequestInvalid."""
        asked = next((value for name, value in headers if name == TRACE), b"0")
        if asked not in (b"0", b"1"):
            raise RequestInvalid(f"The header {TRACE.decode()!r} must be 1, or not be sent.")
        return Trace(self._rules.trace) if asked == b"1" else None
