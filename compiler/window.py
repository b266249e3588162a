"""The student's window, and how many tokens of it a prompt takes.

Counted by the student's own tokenizer where its server shows it (vLLM's /tokenize). Elsewhere reckoned from
the prompts of the first questions, whose tokens the server told; a prompt that comes near the window is then
asked for one token, a call like any other. All of it is the same in a build that is resumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from compiler.calls import RecordedModel, prompt_size
from engine.errors import ContextWindowExceeded, EngineRequestRefused

Counting = Literal["tokenizer", "reckoned"]
SURELY_IN, SURELY_OUT = 0.8, 1.5  # shares of the window, for a reckoned count
_ONE_TOKEN = {"temperature": 0, "max_tokens": 1}


class Window:
    """`tokens` is None where nobody told how many the student takes."""

    def __init__(self, model: RecordedModel, tokens: int | None) -> None:
        self.tokens = tokens
        self.counting: Counting = "tokenizer"
        """How the last prompt was counted."""
        self._model = model

    async def count(self, messages: Sequence[object]) -> int | None:
        """Tokens of the prompt, exact or about; None from a server that counts none at all."""
        exact = await self._model.count(messages)
        self.counting = "reckoned" if exact is None else "tokenizer"
        return self._about(messages) if exact is None else exact

    async def holds(self, messages: Sequence[object], said: int) -> bool:
        """Whether the prompt fits with a reply of so many tokens; where nobody can tell, it does."""
        count = await self.count(messages)
        if self.tokens is None or count is None:
            return True
        if self.counting == "tokenizer":
            return count + said <= self.tokens
        if count + said <= SURELY_IN * self.tokens:
            return True
        if count + said > SURELY_OUT * self.tokens:
            return False
        try:
            reply = await self._model.complete(messages, _ONE_TOKEN)
        except (ContextWindowExceeded, EngineRequestRefused):
            return False
        return reply.usage is None or reply.usage.prompt_tokens + said <= self.tokens

    def _about(self, messages: Sequence[object]) -> int | None:
        ratio = self._model.tokens_per_byte
        return None if ratio is None else round(ratio * prompt_size(messages))
