"""Models for tests: they answer from a script, through the same protocol as a real engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson


@dataclass(frozen=True)
class ScriptedUsage:
    prompt_tokens: int = 10
    completion_tokens: int = 5
    cached_tokens: int | None = None


@dataclass(frozen=True)
class ScriptedReply:
    text: str = ""
    reasoning: str = ""
    finish_reason: str = "stop"
    usage: ScriptedUsage | None = field(default_factory=ScriptedUsage)
    model: str = "scripted"


class ScriptedModel:
    """Says `text` to everything, or each of several texts in turn, the last one for good.

    Streams in pieces of `piece` characters; remembers what it was asked.
    """

    def __init__(self, text: str | Sequence[str], finish_reason: str = "stop", piece: int = 3) -> None:
        self.text, self.finish_reason, self.piece = text, finish_reason, piece
        self.asked: list[list[dict[str, str]]] = []
        self.params: list[dict[str, object]] = []

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> ScriptedReply:
        self._remember(messages, params)
        return ScriptedReply(self._said(), finish_reason=self.finish_reason)

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[ScriptedReply]:
        self._remember(messages, params)
        text = self._said()
        for start in range(0, len(text), self.piece):
            yield ScriptedReply(text[start : start + self.piece], finish_reason="", usage=None)
        yield ScriptedReply("", finish_reason=self.finish_reason)

    def _said(self) -> str:
        """The text of this call: of several, one after the other and then the last."""
        return (
            self.text if isinstance(self.text, str) else self.text[min(len(self.asked), len(self.text)) - 1]
        )

    def _remember(self, messages: Sequence[object], params: Mapping[str, object]) -> None:
        self.asked.append(orjson.loads(orjson.dumps(list(messages))))
        self.params.append(dict(params))
