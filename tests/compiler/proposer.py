"""A proposer for tests: answers whatever fields DSPy's optimisers ask for, good instructions among them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence

import orjson

from engine.chat import Delta, Reply, Usage
from tests.compiler.scripted import CAREFULLY

NAME = "scripted-proposer"
_ASKED = re.compile(r"`\[\[ ## (\w+) ## \]\]`")
_MODULES = re.compile(r"\[\[ ## module_names ## \]\]\n(\[.*?\])", re.DOTALL)


class Proposer:
    """Every second proposal is `good`; `heard` are its prompts, `params` what they were sent with."""

    def __init__(self, good: str = f"{CAREFULLY}.", pause: float = 0.0) -> None:
        self.heard: list[str] = []
        self.params: list[Mapping[str, object]] = []
        self.at_once = self.most_at_once = 0
        self._good, self._pause = good, pause

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(self._pause)
            return self.answer(orjson.loads(orjson.dumps(list(messages))), params)
        finally:
            self.at_once -= 1

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Delta, None]:
        reply = await self.complete(messages, params)
        yield Delta(reply.text, finish_reason=reply.finish_reason, usage=reply.usage)

    def answer(self, messages: Sequence[Mapping[str, str]], params: Mapping[str, object]) -> Reply:
        prompt = "\n".join(message["content"] for message in messages)
        self.heard.append(prompt)
        self.params.append(params)
        text = self.proposal(prompt)
        return Reply(text, "", "stop", Usage(len(prompt) // 4, len(text) // 4), NAME)

    def proposal(self, prompt: str) -> str:
        number = len(self.heard)
        idea = self._good if number % 2 == 0 else f"Solve the problem, attempt {number}."
        said = {name: idea for name in _ASKED.findall(prompt) if name != "completed"}
        if "module_advice" in said:
            modules = orjson.loads(_MODULES.findall(prompt)[-1])
            said["module_advice"] = orjson.dumps(dict.fromkeys(modules, idea)).decode()
        return "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in said.items())
