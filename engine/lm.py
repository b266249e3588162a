"""A `dspy.LM` over any of our models, for optimising and for programs that run interpreted.

DSPy is imported when the first one is made; nothing else in this package needs it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from engine.errors import EngineError, EngineNotInstalled

if TYPE_CHECKING:
    import dspy

# What DSPy itself may vary from call to call; every other parameter stays with the engine, because DSPy
# refuses names that its own request type does not know.
VARIED_BY_DSPY = frozenset(
    {"temperature", "max_tokens", "top_p", "stop", "seed", "presence_penalty", "frequency_penalty"}
)


class Counted(Protocol):
    @property
    def prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int | None: ...


class Said(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def reasoning(self) -> str: ...
    @property
    def usage(self) -> Counted | None: ...


class Answer(Said, Protocol):
    @property
    def finish_reason(self) -> str: ...
    @property
    def model(self) -> str: ...


class Piece(Said, Protocol):
    @property
    def finish_reason(self) -> str | None: ...


class Completes(Protocol):
    """Anything that answers chats: an EngineClient, a hosted model, a recorder around one, a scripted one."""

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Answer: ...

    def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Piece, None]: ...


def make_lm(model: Completes, name: str, sampling_params: Mapping[str, object]) -> dspy.LM:
    """A DSPy language model that sends every call to `model`, once: no cache, no retries, no price look-ups.

    `name` is what DSPy shows in usage and errors. Asynchronous calls run in the caller's event loop;
    synchronous ones run in one thread that starts with the first of them and ends with `lm.engine.close()`.
    Raises EngineNotInstalled without DSPy.
    """
    try:
        import dspy

        from engine.pair import AsynchronousEngine, SynchronousEngine
    except ModuleNotFoundError as exc:
        if exc.name != "dspy":
            raise
        raise EngineNotInstalled(
            "This needs DSPy, which is not installed. Install it with: pip install 'smallforge[compiler]'"
        ) from exc
    varied = {key: value for key, value in sampling_params.items() if key in VARIED_BY_DSPY}
    fixed = {key: value for key, value in sampling_params.items() if key not in VARIED_BY_DSPY}
    asynchronous = AsynchronousEngine(model, fixed)
    return dspy.LM(
        name,
        engine=SynchronousEngine(asynchronous),
        async_engine=asynchronous,
        cache=False,
        num_retries=0,
        **varied,
    )


def engine_error_behind(exc: BaseException) -> EngineError | None:
    """Our error that DSPy's error came from, if it came from one: DSPy keeps it as the cause of its own."""
    seen: BaseException | None = exc
    while seen is not None and not isinstance(seen, EngineError):
        seen = seen.__cause__
    return seen
