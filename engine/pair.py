"""The engine pair that DSPy calls: its requests as OpenAI messages, our replies and errors as its own.

Text only: a request with tools, images or a response schema is refused before anything is sent. Importing
this module imports DSPy.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dspy import lm15

from engine.errors import (
    ContextWindowExceeded,
    EngineCredentialRefused,
    EngineError,
    EngineNotFound,
    EngineNotInstalled,
    EngineRateLimited,
    EngineReplyInvalid,
    EngineRequestRefused,
    EngineServerError,
    EngineStartFailed,
    EngineTimeout,
    EngineUnreachable,
    EngineWrongModel,
    SettingsInvalid,
)

if TYPE_CHECKING:
    from engine.lm import Answer, Completes, Counted

T = TypeVar("T")

TO_DSPY: Mapping[type[EngineError], type[lm15.LM15Error]] = {
    EngineError: lm15.ProviderError,
    EngineUnreachable: lm15.TransportError,
    EngineTimeout: lm15.TimeoutError,
    EngineRateLimited: lm15.RateLimitError,
    EngineServerError: lm15.ServerError,
    EngineCredentialRefused: lm15.AuthError,
    EngineRequestRefused: lm15.InvalidRequestError,
    ContextWindowExceeded: lm15.ContextLengthError,
    EngineReplyInvalid: lm15.ProviderError,
    EngineWrongModel: lm15.ProviderError,
    EngineNotInstalled: lm15.NotConfiguredError,
    EngineStartFailed: lm15.ServerError,
    EngineNotFound: lm15.NotConfiguredError,
    SettingsInvalid: lm15.ConfigurationError,
}

# Request settings that a plain chat completion carries under the same name.
_SAME_NAME = ("max_tokens", "temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")
_REFUSED = ("response_format", "tool_choice", "reasoning", "logprobs", "probabilities", "cache")
_FINISH_REASONS = {"length": "length", "content_filter": "content_filter"}


class AsynchronousEngine:
    """DSPy's asynchronous engine over one of our models; `fixed` parameters go with every call."""

    supported_params: frozenset[str] = frozenset()
    supports_response_schema = False
    supports_function_calling = False
    supports_reasoning = False

    def __init__(self, model: Completes, fixed: Mapping[str, object]) -> None:
        self.model = model
        self._fixed = dict(fixed)

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """One attempt. Raises lm15's errors, with ours as their cause."""
        messages, params = _messages(request), self._fixed | _params(request)
        try:
            return _response(await self.model.complete(messages, params))
        except EngineError as exc:
            raise to_dspy(exc) from exc

    async def stream(self, request: lm15.Request) -> AsyncGenerator[lm15.StreamEvent, None]:
        """One attempt as events: a start, the pieces, an end."""
        messages, params = _messages(request), self._fixed | _params(request)
        usage: Counted | None = None
        finish_reason = "stop"
        try:
            async with aclosing(self.model.stream(messages, params)) as deltas:
                yield lm15.StreamStartEvent(model=request.model)
                async for delta in deltas:
                    usage = delta.usage or usage
                    finish_reason = delta.finish_reason or finish_reason
                    if delta.reasoning:
                        yield lm15.StreamDeltaEvent(lm15.ThinkingDelta(text=delta.reasoning))
                    if delta.text:
                        # Part 0 may be the reasoning; DSPy joins deltas of one part.
                        yield lm15.StreamDeltaEvent(lm15.TextDelta(text=delta.text, part_index=1))
        except EngineError as exc:
            raise to_dspy(exc) from exc
        yield lm15.StreamEndEvent(_FINISH_REASONS.get(finish_reason, "stop"), _usage(usage))

    def __deepcopy__(self, memo: dict[int, Any]) -> AsynchronousEngine:
        # DSPy copies a program with everything in it; connections are shared by the copies.
        return self


class SynchronousEngine:
    """DSPy's synchronous engine: the asynchronous one, run in a thread with an event loop of its own."""

    supported_params: frozenset[str] = frozenset()
    supports_response_schema = False
    supports_function_calling = False
    supports_reasoning = False

    def __init__(self, asynchronous: AsynchronousEngine, loop: RunsWork | None = None) -> None:
        """Without a `loop` it has one of its own."""
        self._asynchronous = asynchronous
        self._thread = LoopThread() if loop is None else loop

    def complete(self, request: lm15.Request) -> lm15.Response:
        """One attempt. Raises lm15's errors, with ours as their cause."""
        return self._thread.run(self._asynchronous.complete(request))

    def stream(self, request: lm15.Request) -> Iterator[lm15.StreamEvent]:
        """One attempt as events, each fetched when it is asked for."""
        events = self._asynchronous.stream(request)
        try:
            while (event := self._thread.run(_next(events))) is not None:
                yield event
        finally:
            self._thread.run(events.aclose())

    def close(self) -> None:
        """Close the connections that synchronous calls opened, and end their thread."""
        close = getattr(self._asynchronous.model, "close", None)
        self._thread.close(close() if close is not None else None)

    def __deepcopy__(self, memo: dict[int, Any]) -> SynchronousEngine:
        return self


class RunsWork(Protocol):
    """An event loop as a thread that waits for it sees it."""

    def run(self, work: Coroutine[Any, Any, T]) -> T: ...
    def close(self, last: Coroutine[Any, Any, None] | None) -> None: ...


class LoopThread:
    """One event loop in one thread; the thread starts with the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; interrupting the wait cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self, last: Coroutine[Any, Any, None] | None) -> None:
        """Run `last`, then end the thread. A later call starts a new one."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            if last is not None:
                last.close()
            return
        if last is not None:
            asyncio.run_coroutine_threadsafe(last, loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="engine-calls", daemon=True
                )
                self._thread.start()
            return self._loop


class CallersLoop:
    """The event loop of whoever makes this, for other threads that work for it and wait for results."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; interrupting the wait cancels it."""
        if _running_loop() is self._loop:
            work.close()
            raise lm15.ConfigurationError(
                "a model was called synchronously in the event loop, which would stand still meanwhile: "
                "await the module's acall instead"
            )
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self, last: Coroutine[Any, Any, None] | None) -> None:
        """The loop and its connections are its owner's."""
        if last is not None:
            last.close()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _next(events: AsyncGenerator[lm15.StreamEvent, None]) -> lm15.StreamEvent | None:
    return await anext(events, None)


def _messages(request: lm15.Request) -> list[dict[str, str]]:
    """The request's conversation as OpenAI messages, text unchanged."""
    if request.tools:
        raise _unsupported("tools")
    messages = []
    if request.system is not None:
        system = request.system
        messages.append({"role": "system", "content": system if isinstance(system, str) else _text(system)})
    for message in request.messages:
        # lm15 calls a later system message a developer's; chat templates of open models know only `system`.
        role = "system" if message.role == "developer" else message.role
        messages.append({"role": role, "content": _text(message.parts)})
    return messages


def _text(parts: tuple[Any, ...]) -> str:
    if not all(isinstance(part, lm15.TextPart) for part in parts):
        raise _unsupported("parts other than text")
    return "".join(part.text for part in parts)


def _params(request: lm15.Request) -> dict[str, object]:
    config = request.config
    for name in _REFUSED:
        if getattr(config, name) is not None:
            raise _unsupported(name)
    params: dict[str, object] = {
        name: getattr(config, name) for name in _SAME_NAME if getattr(config, name) is not None
    }
    if config.stop:
        params["stop"] = list(config.stop)
    return params | dict(config.extensions or {})


def _unsupported(feature: str) -> lm15.UnsupportedFeatureError:
    return lm15.UnsupportedFeatureError(f"Engines take text only; this call uses {feature}.", feature=feature)


def _response(reply: Answer) -> lm15.Response:
    parts: list[Any] = [lm15.ThinkingPart(text=reply.reasoning)] if reply.reasoning else []
    return lm15.Response(
        id=None,
        model=reply.model,
        message=lm15.Message(role="assistant", parts=(*parts, lm15.TextPart(text=reply.text))),
        finish_reason=_FINISH_REASONS.get(reply.finish_reason, "stop"),
        usage=_usage(reply.usage),
    )


def _usage(usage: Counted | None) -> lm15.Usage:
    if usage is None:
        return lm15.Usage()
    return lm15.Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cache_read_tokens=usage.cached_tokens,
    )


def to_dspy(exc: EngineError) -> lm15.LM15Error:
    """DSPy's error for one of ours."""
    kind = next(TO_DSPY[base] for base in type(exc).__mro__ if base in TO_DSPY)
    return kind(str(exc), status=getattr(exc, "status", None), retry_after=getattr(exc, "retry_after", None))
