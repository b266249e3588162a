"""The student's training text: chats of the bundled programs, drawn without end from a seed.

Three families stand here, which teach format, sums, conventions and reading, and are all there is at first;
four more stand in files of their own. Every reply is right. What the demonstrations say decides the reply:
style, convention and format are drawn afresh for each chat, so weights cannot know them. Knows nothing of
tokens or the model.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from deploy.student.lessons import Lessons
from deploy.student.prompts import Prompts, Turn
from deploy.student.stories import Stories
from deploy.student.verses import Verses
from deploy.student.worlds import Worlds
from programs.tasks import arithmetic, order_entry, passage_qa

# Share of chats whose unprompted reply shows its working, by the number of events in the story.
STEPS_SHARE = {1: 0.75, 2: 0.5, 3: 0.3, 4: 0.2}
INSTRUCTIONS = {
    "arithmetic": (arithmetic.INSTRUCTION, "Work out the answer.", "Find the number asked for."),
    "order_entry": (order_entry.INSTRUCTION, "Turn the message into an order line.", "Enter the order."),
    "passage_qa": (passage_qa.INSTRUCTION, "Use the context to answer.", "Find the answer in the context."),
}
ASK_STEPS = ("Solve the word problem step by step.", "Show each step, then give the answer.")
ASK_DIRECT = ("Give the answer without working.", "Answer at once.")
READING = 1_500_000
"""For so many tokens the first families are drawn at their easiest, and copying is practised most."""
ALL_FAMILIES = 5_000_000
"""From so many tokens on everything is drawn at its hardest; a student that is taken over begins there."""
MIXTURE = (0.1, 0.08, 0.1, 0.1, 0.17, 0.13, 0.32)


@dataclass(frozen=True)
class Level:
    """How hard the chats are: grows with the tokens seen."""

    events: int = 4
    demonstrations: int = 4
    follow_ups: bool = True
    facts: int = 5
    long: float = 0.0
    """Share of chats with far more demonstrations than usual."""
    mixture: tuple[float, ...] = (0.3, 0.4, 0.3)
    """Shares of arithmetic, order_entry and passage_qa; sums come early, conventions late. If there are four
    more, they are those of stories, worlds, verses and lessons."""
    copies: float = 0.02
    """Share of a row's pieces that are no chat but a random passage said again."""

    @classmethod
    def at(cls, tokens: int) -> Level:
        if tokens < READING:
            return cls(1, 2, False, 3, mixture=(0.45, 0.25, 0.3), copies=0.1)
        if tokens < ALL_FAMILIES:
            return cls(2, 4, mixture=MIXTURE)
        return cls(demonstrations=8, long=0.003, mixture=MIXTURE, copies=0.04)


Draw = Callable[[random.Random, Level], list[Turn]]


class Family(Protocol):
    def chat(self, rng: random.Random, most: int) -> list[Turn]:
        """A chat with at most so many demonstrations."""


class Corpus:
    """Draws chats of all families, rendered exactly as the programs render them."""

    def __init__(self) -> None:
        tasks = (arithmetic, order_entry, passage_qa)
        self.prompts = {task.program.name: Prompts(task.program.make_module()) for task in tasks}
        self.more: tuple[Family, ...] = (Stories(), Worlds(), Verses(), Lessons())
        draws = (self._arithmetic, self._order_entry, self._passage_qa, *(_drawn(one) for one in self.more))
        self._draws: tuple[Draw, ...] = draws

    def chat(self, rng: random.Random, level: Level) -> list[Turn]:
        (draw,) = rng.choices(self._draws[: len(level.mixture)], level.mixture)
        return draw(rng, level)

    def sample(self, seed: int, chats: int) -> Iterator[str]:
        """Plain text of the first three families, for learning the tokenizer's merges."""
        rng = random.Random(seed)
        for _ in range(chats):
            yield "\n".join(turn.content for turn in self.chat(rng, Level())[1:])

    def more_words(self, seed: int, chats: int) -> Iterator[str]:
        """Plain text of the others, instructions too, for finding their words."""
        rng = random.Random(seed)
        for family in self.more:
            for _ in range(chats):
                yield "\n".join(turn.content for turn in family.chat(rng, 4))

    def _arithmetic(self, rng: random.Random, level: Level) -> list[Turn]:
        count = _demonstrations(rng, level)
        problems = [
            arithmetic.draw_from(rng, "corpus", rng.randint(1, level.events)) for _ in range(count + 1)
        ]
        kind = (
            rng.choices(("one style", "mixed", "incomplete"), (0.75, 0.1, 0.15))[0] if count else "one style"
        )
        instruction = rng.choice(INSTRUCTIONS["arithmetic"][: 1 if rng.random() < 0.7 else None])
        bare = rng.randint(0, count - 1) if count > 1 and kind != "incomplete" and rng.random() < 0.3 else 0
        bare = count if kind == "incomplete" else bare
        # The first worked demonstration sets the style; when there is none, the length of the story does.
        style: arithmetic.Style = _unprompted(rng, problems[bare])
        if rng.random() < 0.15:
            style = rng.choice(("steps", "direct"))
            instruction = rng.choice(ASK_STEPS if style == "steps" else ASK_DIRECT)
        styles: list[arithmetic.Style] = [style] * (count + 1)
        if kind == "mixed":
            styles[bare:count] = [_unprompted(rng, p) for p in problems[bare:count]]
            # One worked demonstration is enough to ask for working.
            styles[count] = "steps" if "steps" in styles[bare:count] else "direct"
        prompts = self.prompts["arithmetic"]
        turns = [prompts.system(instruction)]
        for at, (problem, shown) in enumerate(zip(problems, styles, strict=True)):
            inputs = {"question": problem.question}
            outputs = {"reasoning": problem.reasoning(shown), "answer": str(problem.answer)}
            if at < bare:
                turns += prompts.incomplete(inputs, {"answer": outputs["answer"]})
            else:
                learned = kind != "mixed" or at == count
                turns += prompts.turn(inputs, outputs, asked=at == count, learned=learned)
        return turns

    def _order_entry(self, rng: random.Random, level: Level) -> list[Turn]:
        count = _demonstrations(rng, level)
        convention = order_entry.Convention()
        if count and rng.random() < 0.97:
            convention = order_entry.Convention.draw(rng)
        prompts = self.prompts["order_entry"]
        turns = [prompts.system(_instruction(rng, "order_entry"))]
        shown: set[str] = set()
        for at in range(count + 1):
            order = order_entry.draw_from(rng, "corpus")
            used = convention if at < count else _seen(convention, shown)
            told = {*order.parts, "separator"}
            # A demonstration that first shows a form can't be foreseen: nothing to learn but chance.
            turns += prompts.turn(
                {"message": order.message},
                {"line": order.line(used)},
                asked=at == count,
                learned=at == count or told <= shown,
            )
            shown |= told
        return turns

    def _passage_qa(self, rng: random.Random, level: Level) -> list[Turn]:
        count = _demonstrations(rng, level)
        drawn = rng.randrange(len(passage_qa.CONVENTIONS))
        convention = drawn if count else passage_qa.PLAIN
        prompts = self.prompts["passage_qa"]
        turns = [prompts.system(_instruction(rng, "passage_qa"))]
        for at in range(count + 1):
            earlier = rng.randint(1, 2) if level.follow_ups and rng.random() < 0.35 else 0
            passage = passage_qa.draw_from(
                rng, "corpus", rng.randint(max(2, earlier + 1), level.facts), earlier
            )
            if not count and earlier:
                convention = drawn
            *history, last = passage.turns
            for turn in history:
                turns += prompts.turn(
                    {"question": turn.question}, {"answer": turn.answer(convention)}, learned=False
                )
            inputs = {"context": passage.context, "question": last.question}
            turns += prompts.turn(inputs, {"answer": last.answer(convention)}, asked=at == count)
        return turns


def _drawn(family: Family) -> Draw:
    def draw(rng: random.Random, level: Level) -> list[Turn]:
        return family.chat(rng, level.demonstrations if rng.random() < 0.1 else 4)

    return draw


def _demonstrations(rng: random.Random, level: Level) -> int:
    if rng.random() < level.long:
        return rng.randint(12, 40)
    # Optimisers mostly settle on up to four demonstrations.
    most = level.demonstrations if rng.random() < 0.2 else min(4, level.demonstrations)
    return 0 if rng.random() < 0.2 else rng.randint(1, most)


def _unprompted(rng: random.Random, problem: arithmetic.Problem) -> arithmetic.Style:
    return "steps" if rng.random() < STEPS_SHARE[len(problem.steps)] else "direct"


def _instruction(rng: random.Random, task: str) -> str:
    return rng.choice(INSTRUCTIONS[task][: 1 if rng.random() < 0.8 else None])


def _seen(convention: order_entry.Convention, shown: set[str]) -> order_entry.Convention:
    """The convention as far as the demonstrations show it, the plainest form for the rest."""
    known: dict[str, Any] = {part: getattr(convention, part) for part in shown}
    return order_entry.Convention(**known)
