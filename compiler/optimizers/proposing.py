"""The models that DSPy's optimisers are given: theirs to call, ours to answer in the build's event loop."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import dspy
from dspy import lm15
from dspy.adapters.chat_adapter import ChatAdapter
from dspy.utils.exceptions import AdapterParseError

from compiler.calls import RecordedModel
from compiler.optimizers.crossing import Crossing
from compiler.scoring import Scorer
from engine.pair import AsynchronousEngine
from programs.together import together

BLANK = " "  # DSPy ends a search for an empty reply; a blank one is only a bad instruction


class Voice:
    """DSPy's engine for one of a build's models. `scorer`, where there is one, runs programs with it."""

    supported_params: frozenset[str] = frozenset()
    supports_response_schema = False
    supports_function_calling = False
    supports_reasoning = False

    def __init__(self, model: RecordedModel, crossing: Crossing, scorer: Scorer | None = None) -> None:
        self.scorer = scorer
        self._model = model
        self._crossing = crossing
        self._asynchronous = AsynchronousEngine(model, {})
        self._asked = threading.local()

    def complete(self, request: lm15.Request) -> lm15.Response:
        """The next reply; the first call of several asks for all of them at once."""
        replies: deque[lm15.Response] = getattr(self._asked, "replies", deque())
        if not replies:
            replies.extend(self._crossing.run(self._ask(request, getattr(self._asked, "count", 1))))
        return replies.popleft()

    @contextmanager
    def several(self, count: int) -> Iterator[None]:
        """Within the block this thread will make `count` calls of the same request."""
        self._asked.count, self._asked.replies = count, deque()
        try:
            yield
        finally:
            self._asked.count, self._asked.replies = 1, deque()

    async def _ask(self, request: lm15.Request, count: int) -> list[lm15.Response]:
        try:
            replies = await together(self._asynchronous.complete(request) for _ in range(count))
        except lm15.LM15Error as error:
            # One prompt that was refused is the optimiser's matter, an engine that is gone is the build's.
            raise self._model.failure or error from error
        return [_readable(reply) for reply in replies]

    def __deepcopy__(self, memo: dict[int, Any]) -> Voice:
        return self


class ProposerLM(dspy.LM):
    """Asks for `n` replies at once, which DSPy would do one after the other."""

    def __call__(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        voice: Voice = self.engine
        with voice.several(kwargs.get("n") or 1):
            return super().__call__(prompt, messages=messages, **kwargs)


def language_model(name: str, voice: Voice, sampling: Mapping[str, object]) -> dspy.LM:
    """No cache and no retries: both are the build's, as for every call."""
    return ProposerLM(name, engine=voice, cache=False, num_retries=0, **sampling)


class ProposerAdapter(ChatAdapter):
    """Reads proposals, also of a model that writes what it is asked for without the headings around it."""

    def __init__(self) -> None:
        super().__init__(use_json_adapter_fallback=False)

    def parse(self, signature: type[dspy.Signature], completion: str) -> dict[str, Any]:
        try:
            fields: dict[str, Any] = super().parse(signature, completion)
        except AdapterParseError as error:
            outputs = signature.output_fields
            if any(field.annotation is not str for field in outputs.values()):
                raise
            found = error.parsed_result or {next(iter(outputs)): completion.strip()}
            fields = {name: found.get(name, "") for name in outputs}
        return fields


def _readable(reply: lm15.Response) -> lm15.Response:
    if reply.text:
        return reply
    return replace(reply, message=lm15.Message(role="assistant", parts=(lm15.TextPart(text=BLANK),)))
