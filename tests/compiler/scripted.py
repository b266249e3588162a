"""A small adder for tests: a model that works its answers out from the prompt, and programs for it.

Without worked demonstrations it gets only even sums right; with at least one, or told to add carefully, it
gets all sums right. All is computed from the messages, so a build over it has a real gain to find.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dspy
import orjson

from compiler.events import Event
from compiler.request import BuildRequest
from engine.chat import Delta, Reply, Usage
from engine.settings import EngineSettings
from programs.execution import Model
from programs.program import Chat, Program, Sampling

UNPRICED = EngineSettings("local", model="adder")
CAREFULLY = "Add carefully"
_SUM = re.compile(r"(\d+) \+ (\d+)")
_WORKED = re.compile(r"\d+ and \d+ make \d+")


class Adder:
    """Adds the two numbers of the last message; `spoil` may change what it says of a sum, or raise."""

    def __init__(self, spoil: Callable[[int], str | None] | None = None, pause: float = 0.0) -> None:
        self.calls = 0
        self.at_once = self.most_at_once = 0
        self.asked: list[list[dict[str, str]]] = []
        self._spoil, self._pause = spoil, pause

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(self._pause)
            return self._answer(orjson.loads(orjson.dumps(list(messages))))
        finally:
            self.at_once -= 1

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Delta, None]:
        reply = await self.complete(messages, params)
        yield Delta(reply.text, finish_reason=reply.finish_reason, usage=reply.usage)

    def _answer(self, messages: list[dict[str, str]]) -> Reply:
        self.asked.append(messages)
        found = _SUM.findall(messages[-1]["content"])[-1]
        a, b = int(found[0]), int(found[1])
        shown = any(_WORKED.search(m["content"]) for m in messages if m["role"] == "assistant")
        helped = shown or CAREFULLY in messages[0]["content"]
        total = a + b if helped or (a + b) % 2 == 0 else a + b + 1
        spoilt = self._spoil(a + b) if self._spoil else None
        text = spoilt if spoilt is not None else said(f"{a} and {b} make {total}", str(total))
        prompt = sum(len(message["content"]) for message in messages) // 4
        return Reply(text, "", "stop", Usage(prompt, len(text) // 4), "adder")


def said(reasoning: str, answer: str) -> str:
    return f"[[ ## reasoning ## ]]\n{reasoning}\n\n[[ ## answer ## ]]\n{answer}\n\n[[ ## completed ## ]]"


@dataclass(frozen=True)
class Named:
    """A fingerprint that is only a name."""

    name: str = "adder"

    def as_dict(self) -> dict[str, Any]:
        return {"prompt_tokens": [1, 2, 3], "name": self.name}


@dataclass(frozen=True)
class Bound:
    """A model as a build is given it."""

    client: Model
    name: str = "default"
    fingerprint: Named = field(default_factory=Named)
    context_tokens: int | None = 8192
    engine: EngineSettings = UNPRICED


def right_sum(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
    return float(prediction.answer.strip() == example.answer)


def sums(count: int, first: int = 0) -> list[dspy.Example]:
    """Different sums; half of them are odd."""
    return [
        dspy.Example(question=f"What is {n} + {n // 2}?", answer=str(n + n // 2)).with_inputs("question")
        for n in range(first, first + count)
    ]


class SumsExamples:
    def __init__(self, train: int = 20, dev: int = 20, test: int = 40) -> None:
        self._parts = {
            "train": sums(train),
            "dev": sums(dev, first=1000),
            "test": sums(test, first=2000),
        }

    def __call__(self, split: str) -> list[dspy.Example]:
        return self._parts[split]


def chain() -> dspy.Module:
    return dspy.ChainOfThought("question -> answer")


def program(
    make_module: Callable[[], dspy.Module] = chain,
    examples: Any = None,
    metric: Any = right_sum,
    sampling: Sampling = Sampling(max_tokens=64),  # noqa: B008 - frozen
) -> Program:
    chat = Chat(user="question", answer="answer", reasoning=("reasoning",) if make_module is chain else ())
    return Program("sums", make_module, examples or SumsExamples(), metric, chat, sampling)


def request(folder: Path, program: Program, **fields: Any) -> BuildRequest:
    return BuildRequest(program, releases=folder / "releases", state=folder / ".smallforge", **fields)


class Collected:
    """The events of a build by their type."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)


class TwoSteps(dspy.Module):
    """Works a sum out, then says it: two predictors, so no constant prompt."""

    def __init__(self) -> None:
        super().__init__()
        self.first = dspy.Predict("question -> reasoning")
        self.second = dspy.ChainOfThought("question, sum -> answer")

    async def aforward(self, question: str) -> dspy.Prediction:
        worked = await self.first.acall(question=question)
        return await self.second.acall(question=question, sum=worked.reasoning)


class Synchronous(dspy.Module):
    """One step, and no aforward."""

    def __init__(self) -> None:
        super().__init__()
        self.work_out = dspy.ChainOfThought("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        return self.work_out(question=question)
