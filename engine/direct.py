"""A `dspy.LM` for runs that are served: a plain chat goes from DSPy's adapter straight to one of our models.

Stock DSPy copies each request, hops to another thread twice, keeps a history and looks prices up. What is
more than a plain chat, or watched by callbacks or a usage tracker, goes that way, through the engine pair.
Importing this module imports DSPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dspy
from dspy.clients.errors import error_boundary

from engine.errors import EngineError
from engine.lm import VARIED_BY_DSPY, Answer, Completes
from engine.pair import AsynchronousEngine, CallersLoop, SynchronousEngine, to_dspy

Outputs = list[str | dict[str, Any]]
_UNSENT = frozenset({"rollout_id", "n"})  # what tells DSPy's own cache and copies apart


class DirectLM(dspy.LM):
    """Asks `model` in the event loop that made this; another thread that calls it waits for that loop."""

    def __init__(self, model: Completes, name: str, sampling_params: Mapping[str, object]) -> None:
        varied = {key: value for key, value in sampling_params.items() if key in VARIED_BY_DSPY}
        fixed = {key: value for key, value in sampling_params.items() if key not in VARIED_BY_DSPY}
        asynchronous = AsynchronousEngine(model, fixed)
        self._loop = CallersLoop()
        super().__init__(
            name,
            engine=SynchronousEngine(asynchronous, self._loop),
            async_engine=asynchronous,
            cache=False,
            num_retries=0,
            **varied,
        )
        self._asked = model
        self._fixed = fixed

    async def acall(
        self, prompt: str | None = None, *, messages: list[dict[str, Any]] | None = None, **kwargs: Any
    ) -> Any:
        params = self._plain_params(messages, kwargs) if prompt is None else None
        if params is None or messages is None:
            return await super().acall(prompt, messages=messages, **kwargs)
        return await self._ask(messages, params)

    def __call__(
        self, prompt: str | None = None, *, messages: list[dict[str, Any]] | None = None, **kwargs: Any
    ) -> Any:
        params = self._plain_params(messages, kwargs) if prompt is None else None
        if params is None or messages is None:
            return super().__call__(prompt, messages=messages, **kwargs)
        with error_boundary(self.model):
            return self._loop.run(self._ask(messages, params))

    async def _ask(self, messages: Sequence[object], params: Mapping[str, object]) -> Outputs:
        """One attempt. Raises DSPy's errors, with ours behind them."""
        with error_boundary(self.model):
            try:
                return [_output(await self._asked.complete(messages, params))]
            except EngineError as exc:
                raise to_dspy(exc) from exc

    def _plain_params(
        self, messages: list[dict[str, Any]] | None, kwargs: Mapping[str, object]
    ) -> dict[str, object] | None:
        """The request's parameters; None where it is no plain chat, or somebody watches it."""
        settings = dspy.settings
        if settings.callbacks or self.callbacks or settings.usage_tracker or not settings.disable_history:
            return None
        asked = {k: v for k, v in {**self.kwargs, **kwargs}.items() if v is not None}
        if asked.get("n", 1) != 1 or settings.send_stream is not None or not messages:
            return None
        varied = asked.keys() - _UNSENT
        if not varied <= VARIED_BY_DSPY or not all(type(m["content"]) is str for m in messages):
            return None
        return self._fixed | {name: asked[name] for name in varied}

    def __deepcopy__(self, memo: dict[int, Any]) -> DirectLM:
        # DSPy copies a program with everything in it; the model and its loop are shared by the copies.
        return self


def _output(reply: Answer) -> str | dict[str, Any]:
    """A reply as DSPy's adapters take it."""
    return {"text": reply.text, "reasoning_content": reply.reasoning} if reply.reasoning else reply.text
