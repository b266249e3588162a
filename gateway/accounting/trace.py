"""The steps of one request: each call with what it took and, for who may see it, its texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import orjson

from engine.client import Usage
from engine.errors import EngineError
from gateway.protocol import TokenCounts

if TYPE_CHECKING:
    from gateway.place import ServedStudent


class Asking(NamedTuple):
    """A call that is about to be made; `messages` and `params` are empty where the gateway reads none."""

    student: ServedStudent
    messages: Sequence[object]
    params: Mapping[str, object]
    streams: bool = False
    operation: str = "chat"


class StepSpan(Protocol):
    """Follows one call to its end."""

    def ended(self, step: Step) -> None: ...


class StepTracer(Protocol):
    """Follows the calls of one request while they run."""

    def begin(self, asking: Asking) -> StepSpan: ...


@dataclass(slots=True)
class Step:
    """One call; what its end brings stays None where it failed or was given up.

    `first` is the time to the first piece of a stream, `error` a word for how it failed, `span` who follows
    the call elsewhere.
    """

    run: int
    messages: Any
    seconds: float | None = None
    usage: Usage | None = None
    usd: float | None = None
    finish_reason: str | None = None
    reply: str = ""
    first: float | None = None
    error: str | None = None
    rung: str | None = None
    """How it asked again after a failed answer, where the program has a ladder for that."""
    member: str | None = None
    """Host and port of who answered, or failed last, where a student runs on several engines."""
    span: StepSpan | None = None

    def failed(self, error: BaseException) -> None:
        self.error = error.reason if isinstance(error, EngineError) else type(error).__name__

    def as_dict(self, with_texts: bool) -> dict[str, Any]:
        usage = self.usage
        told: dict[str, Any] = {
            "choice": self.run,
            "seconds": None if self.seconds is None else round(self.seconds, 6),
            "usage": TokenCounts.of(usage).as_dict() if usage is not None else None,
            "cost_usd": self.usd,
            "finish_reason": self.finish_reason,
        }
        if self.rung is not None:
            told["rung"] = self.rung
        return {**told, "messages": self.messages, "reply": self.reply} if with_texts else told


@dataclass(slots=True)
class Trace:
    """The steps in the order in which they began.

    Prompts are the operator's, and replies may hold an answer that no check let pass: `with_texts` is the
    operator's word that clients may see both.
    """

    with_texts: bool = False
    steps: list[Step] = field(default_factory=list)

    def begin(self, run: int, messages: Sequence[object]) -> Step:
        # Written and read again: parts of a prompt are serialised already.
        said = orjson.loads(orjson.dumps(list(messages))) if self.with_texts else None
        step = Step(run, said)
        self.steps.append(step)
        return step

    def as_list(self) -> list[dict[str, Any]]:
        return [step.as_dict(self.with_texts) for step in self.steps]
