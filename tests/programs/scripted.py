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
    """Says `text` to everything, streamed in pieces of `piece` characters; remembers what it was asked."""

    def __init__(self, text: str, finish_reason: str = "stop", piece: int = 3) -> None:
        self.text, self.finish_reason, self.piece = text, finish_reason, piece
        self.asked: list[list[dict[str, str]]] = []
        self.params: list[dict[str, object]] = []

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> ScriptedReply:
        self._remember(messages, params)
        return ScriptedReply(self.text, finish_reason=self.finish_reason)

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[ScriptedReply]:
        self._remember(messages, params)
        for start in range(0, len(self.text), self.piece):
            yield ScriptedReply(self.text[start : start + self.piece], finish_reason="", usage=None)
        yield ScriptedReply("", finish_reason=self.finish_reason)

    def _remember(self, messages: Sequence[object], params: Mapping[str, object]) -> None:
        self.asked.append(orjson.loads(orjson.dumps(list(messages))))
        self.params.append(dict(params))
