"""One client for any OpenAI-compatible URL: pooled, cancellable, streaming, every phase of a call limited.

It makes one attempt per call: retries, caches and budgets belong to its users. Request headers are made here
from nothing, so what an end user sends can never travel upstream. Cancelling a call closes its connection at
once, which is how a server learns to stop working.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import orjson

from engine.chat import (
    Body,
    Delta,
    ModelCard,
    Reply,
    Usage,
    decode,
    joined,
    read_delta,
    read_model_cards,
    read_reply,
    read_usage,
)
from engine.connection import Connection
from engine.errors import (
    EngineError,
    EngineReplyInvalid,
    EngineRequestRefused,
    EngineServerError,
    EngineWrongModel,
)
from engine.passing import Passing
from engine.pool import Pool
from engine.sse import EventReader
from engine.translation import from_error_event, from_status, without_key
from engine.waiting import DEFAULT_TIMEOUTS, Reading, Timeouts

__all__ = ["Delta", "EngineClient", "ModelCard", "Reply", "Timeouts", "Usage"]


_DONE = b"[DONE]"
T = TypeVar("T")


class Arrived(NamedTuple):
    """What one read of a stream brought: its texts, the server's counts, and the error that ended it."""

    delta: Delta | None
    usage: Usage | None
    failure: EngineError | None


class EngineClient:
    """Calls one model at one URL.

    `url` may end in /v1 or not. Connections are opened when first needed, in the event loop that needs them;
    `close` closes those of the running loop, and a later call opens new ones. With `same_model` a reply that
    names another model than `model` is an error.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str | None = None,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        connections: int = 256,
        same_model: bool = False,
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self.model = model
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": "smallforge",
        }
        self._key = key
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self.timeouts = timeouts
        self._connections = connections
        self._same_model = same_model
        self._pools: dict[asyncio.AbstractEventLoop, Pool] = {}

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        """One chat completion. `messages` are dicts or orjson.Fragments; `params` go out as given."""
        body = {"model": self.model, "messages": messages, **params}
        data = await self._read("POST", "/v1/chat/completions", body)
        reply = read_reply(self.body(data), self.model, self.url)
        self.check_model(reply.model)
        return reply

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Delta, None]:
        """The same as pieces: what arrived together is one. The counts come last, and the last counts are
        right.
        """
        body = {"model": self.model, "messages": messages, **params}
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        usage: Usage | None = None
        finished = False
        # aclosing: a consumer that leaves early closes the connection now, not when the collector comes by.
        async with aclosing(self._events(body)) as reads:
            async for payloads in reads:
                delta, counted, failure = self._arrived(payloads)
                usage = counted or usage
                if delta is not None:
                    finished = finished or delta.finish_reason is not None
                    yield delta
                if failure is not None:
                    raise failure
        if not finished:
            raise EngineReplyInvalid(f"The engine at {self.url} ended its stream without a finish_reason.")
        if usage is not None:
            yield Delta(usage=usage)

    @asynccontextmanager
    async def passing(self, path: str, data: bytes) -> AsyncIterator[Passing]:
        """Sends a JSON body as it is; the reply is handed on by who speaks to the model itself."""
        async with self._posted(path, data) as reply:
            yield Passing(self, reply)

    async def pass_on(
        self, path: str, written: Callable[[str], bytes], take: Callable[[Passing], Awaitable[T]]
    ) -> T:
        """The same with a body that is written for a model's name: what is made of the reply."""
        async with self.passing(path, written(self.model)) as reply:
            return await take(reply)

    async def models(self) -> list[ModelCard]:
        """What the server lists under /v1/models."""
        return read_model_cards(await self.get("/v1/models"), self.url)

    async def get(self, path: str) -> Body:
        """Any other JSON object that the server has."""
        return decode(await self._read("GET", path, None), self.url)

    async def tokenize(self, messages: Sequence[object]) -> list[int] | None:
        """Token ids of the rendered conversation by vLLM's /tokenize; None on other servers."""
        try:
            data = await self._read("POST", "/tokenize", {"model": self.model, "messages": messages})
        except (EngineRequestRefused, EngineServerError) as exc:
            # Only the server's own "there is no such thing" means absence; every other failure stays one.
            if exc.status in (404, 405, 501):
                return None
            raise
        tokens = decode(data, self.url).get("tokens")
        # llama.cpp has an endpoint of this name that wants plain text and answers messages with no tokens.
        return [int(token) for token in tokens] if isinstance(tokens, list) and tokens else None

    async def close(self) -> None:
        """Close the connections that the running event loop opened."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _pool(self, loop: asyncio.AbstractEventLoop) -> Pool:
        pool = self._pools.get(loop)
        if pool is None:
            pool = self._pools[loop] = Pool(self.url, self._headers, self._connections, self.timeouts)
        return pool

    async def _read(self, method: str, path: str, body: Body | None) -> bytes:
        """The whole body of a reply."""
        pool = self._pool(asyncio.get_running_loop())
        message = pool.message(method, path, b"" if body is None else _encode(body))
        async with pool.lease() as reply:
            await self._ask(reply, message)
            return await reply.read()

    async def _events(self, body: Body) -> AsyncGenerator[Sequence[bytes], None]:
        """The events of a streamed reply up to [DONE], those of one read together."""
        reader = EventReader()
        phase: Reading = "first_byte"
        async with self._posted("/v1/chat/completions", _encode(body)) as reply:
            if reply.content_type == "application/json":
                # No stream at all: LM Studio says so, with status 200, of an address it does not know.
                read_reply(decode(await reply.read(), self.url), self.model, self.url)
            while data := await reply.some(phase):
                phase = "between"
                payloads = reader.feed(data)
                if _DONE in payloads:
                    yield payloads[: payloads.index(_DONE)]
                    await reply.linger()
                    return
                yield payloads
            yield [payload for payload in reader.finish() if payload != _DONE]

    def _arrived(self, payloads: Sequence[bytes]) -> Arrived:
        """What the events of one read say, up to the first that is an error."""
        deltas: list[Delta] = []
        usage: Usage | None = None
        failure: EngineError | None = None
        for payload in payloads:
            try:
                event = self.event(payload)
                self.check_model(event.get("model"))
                delta = read_delta(event, self.url)
            except EngineError as error:
                failure = error
                break
            usage = read_usage(event) or usage
            if delta is not None:
                deltas.append(delta)
        return Arrived(joined(deltas), usage, failure)

    def check_model(self, answered: object) -> None:
        """Raises EngineWrongModel where only this client's model may answer and another one did."""
        if self._same_model and isinstance(answered, str) and bare_name(answered) != bare_name(self.model):
            raise EngineWrongModel(
                f"The engine at {self.url} answered with the model {answered!r}, asked for {self.model!r}; "
                f"load {self.model!r} there, or let it load models on demand."
            )

    def event(self, payload: bytes) -> Body:
        """The JSON object of one event; an error among them is raised."""
        event = self.body(payload)
        if event.get("error"):
            raise from_error_event(event, self.url)
        return event

    def body(self, data: bytes) -> Body:
        """The JSON object that a server sent; an error in it is told without our key."""
        body = decode(data, self.url)
        if body.get("error"):
            body = decode(without_key(data.decode(errors="replace"), self._key).encode(), self.url)
        return body

    @asynccontextmanager
    async def _posted(self, path: str, data: bytes) -> AsyncIterator[Connection]:
        """A reply that is read while it comes."""
        pool = self._pool(asyncio.get_running_loop())
        async with pool.lease() as reply:
            await self._ask(reply, pool.message("POST", path, data))
            yield reply

    async def _ask(self, reply: Connection, message: bytes) -> None:
        """Sends a request and waits for the head of a reply with status 200."""
        await reply.ask(message)
        if reply.status != 200:
            said = _json_or_text(without_key((await reply.read()).decode(errors="replace"), self._key))
            raise from_status(reply.status, reply.headers, said, self.url)


def bare_name(model: str) -> str:
    """A model's name without publisher, quantisation and instance, which servers add and drop."""
    name = model.rsplit("/", 1)[-1].partition("@")[0].lower()
    front, colon, number = name.rpartition(":")
    return front if colon and number.isdigit() else name


def _encode(body: Body) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as exc:
        raise EngineRequestRefused(f"The request can't be written as JSON: {exc}.") from exc


def _json_or_text(answer: str) -> object:
    try:
        return orjson.loads(answer)
    except orjson.JSONDecodeError:
        return answer
