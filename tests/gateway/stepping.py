"""Programs that tests install: an agent, one that ends early, one that hangs, typed ones."""

from __future__ import annotations

import enum
import threading
from typing import Any, Literal

import dspy
from pydantic import BaseModel, Field

from smallforge import Chat, Program, RunLimits, Sampling

RELEASED = threading.Event()
"""Lets go of the tools that hang."""


def _program(name: str, make_module: Any, **parts: Any) -> Program:
    return Program(
        name=name,
        make_module=make_module,
        examples=lambda split: [],
        metric=lambda example, prediction, trace=None: 1.0,
        sampling=Sampling(max_tokens=400),
        **{"chat": Chat(user="question", answer="answer"), **parts},
    )


def look(word: str) -> str:
    """What is known of a word."""
    return f"LEAK of {word}"


async def wait(seconds: float) -> str:
    """Waits until the tools are let go."""
    return "LEAK after a while"


def hang() -> str:
    """Never comes back by itself."""
    RELEASED.wait(60)
    return "late"


class Guesses(dspy.Module):
    """Ends early where the first step is sure; both steps write `answer`."""

    def __init__(self) -> None:
        super().__init__()
        self.guess = dspy.Predict("question -> answer, sure: bool")
        self.work_out = dspy.ChainOfThought("question, guess -> answer")

    async def aforward(self, question: str) -> dspy.Prediction:
        guess = await self.guess.acall(question=question)
        if guess.sure:
            return guess
        return await self.work_out.acall(question=question, guess=guess.answer)


class OnlyForward(dspy.Module):
    """Two steps, called synchronously."""

    def __init__(self) -> None:
        super().__init__()
        self.first = dspy.Predict("question -> guess")
        self.second = dspy.Predict("question, guess -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        return self.second(question=question, guess=self.first(question=question).guess)


class Mood(enum.Enum):
    GLAD = "glad"
    SAD = "sad"


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)
    tags: list[str] = []


class Profile(dspy.Signature):
    """Describe the person."""

    person: Person = dspy.InputField()
    mood: Mood = dspy.InputField()
    weights: dict[str, float] = dspy.InputField()
    limit: int | None = dspy.InputField(default=None)
    history: dspy.History = dspy.InputField()
    question: str = dspy.InputField()
    twin: Person = dspy.OutputField()
    seen: Mood = dspy.OutputField()
    scores: dict[str, int] = dspy.OutputField()
    size: Literal["small", "large"] = dspy.OutputField()
    nearest: list[Person] = dspy.OutputField()
    left: int | None = dspy.OutputField()
    answer: bool = dspy.OutputField()


class Typed(dspy.Module):
    """Sees that its inputs have the types that it declares, then asks."""

    def __init__(self) -> None:
        super().__init__()
        self.profile = dspy.Predict(Profile)

    async def aforward(
        self,
        question: str,
        person: Person,
        mood: Mood,
        weights: dict[str, float],
        history: dspy.History,
        limit: int | None = None,
    ) -> dspy.Prediction:
        assert [type(value) for value in (person, mood, history)] == [Person, Mood, dspy.History]
        return await self.profile.acall(
            question=question, person=person, mood=mood, weights=weights, history=history, limit=limit
        )


agent = _program(
    "agent",
    lambda: dspy.ReAct("question -> answer", tools=[look, wait], max_iters=6),
    chat=Chat(user="question", answer="answer", reasoning=("reasoning",)),
)
early = _program("early", Guesses, answered_by=("work_out.predict",))
plain_forward = _program("plain_forward", OnlyForward)
hanging = _program(
    "hanging",
    lambda: dspy.ReAct("question -> answer", tools=[hang], max_iters=6),
    limits=RunLimits(steps=4, seconds=1.0),
)
TYPED = Chat(user="question", answer="answer", history="history")
typed = _program("typed", Typed, chat=TYPED)
"""Typed fields where a module of its own is interpreted."""
typed_prompt = _program("typed_prompt", lambda: dspy.Predict(Profile), chat=TYPED)
"""The same fields as one constant prompt."""
