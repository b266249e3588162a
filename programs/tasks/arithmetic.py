"""Word problems of one to four events, with the working out as reasoning."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from programs.program import Chat, Program, Sampling, Split
from programs.tasks.lexicon import GOODS, NAMES, Share, pronoun, share_of

if TYPE_CHECKING:
    import dspy

Style = Literal["steps", "direct"]

INSTRUCTION = "Solve the word problem."
DIRECT = "Done in my head."
LARGEST = 60
SIZES: dict[Split, int] = {"train": 200, "dev": 100, "test": 300}
# Question, working, answer: what a person would show a model that has to work out such problems.
HANDPICKED = (
    ("Dora has 8 plates. She buys 5 more. How many plates does Dora have now?", "8 + 5 = 13.", 13),
    (
        "Ivan has 9 coins. The number doubles. He loses 4. How many coins does Ivan have now?",
        "9 x 2 = 18. 18 - 4 = 14.",
        14,
    ),
    (
        "Julia has 15 cups. She breaks 6. She gets 2 more. The number triples. "
        "How many cups does Julia have now?",
        "15 - 6 = 9. 9 + 2 = 11. 11 x 3 = 33.",
        33,
    ),
)
GAINS = ("buys", "finds", "wins", "gets")
LOSSES = ("sells", "loses", "breaks", "drops")


@dataclass(frozen=True)
class Problem:
    question: str
    steps: tuple[str, ...]
    """One equation for each event, in order."""
    answer: int

    def reasoning(self, style: Style) -> str:
        return " ".join(f"{step}." for step in self.steps) if style == "steps" else DIRECT


def draw(rng: random.Random, events: int) -> Problem:
    """A problem with that many events; no number in it passes `LARGEST`."""
    name, goods, count = rng.choice(NAMES), rng.choice(GOODS), rng.randint(2, 20)
    person = pronoun(name).capitalize()
    sentences, steps = [f"{name} has {count} {goods}."], []
    for _ in range(events):
        kind = rng.choice(("gain", "gain", "loss", "loss", "times"))
        if kind == "times" and count <= LARGEST // 3:
            word, factor = rng.choice((("doubles", 2), ("triples", 3)))
            sentences.append(f"The number {word}.")
            steps.append(f"{count} x {factor} = {count * factor}")
            count *= factor
        elif (kind == "gain" and count <= LARGEST - 12) or count < 3:
            change = rng.randint(1, 12)
            sentences.append(f"{person} {rng.choice(GAINS)} {change} more.")
            steps.append(f"{count} + {change} = {count + change}")
            count += change
        else:
            change = rng.randint(1, min(12, count - 1))
            sentences.append(f"{person} {rng.choice(LOSSES)} {change}.")
            steps.append(f"{count} - {change} = {count - change}")
            count -= change
    sentences.append(f"How many {goods} does {name} have now?")
    return Problem(" ".join(sentences), tuple(steps), count)


def draw_from(rng: random.Random, share: Share, events: int) -> Problem:
    while share_of((problem := draw(rng, events)).question) != share:
        pass
    return problem


def make_module() -> dspy.Module:
    import dspy

    return dspy.ChainOfThought(dspy.Signature("question: str -> answer: int", INSTRUCTION))


def examples(split: Split) -> Sequence[dspy.Example]:
    """Questions and answers without reasoning: as many problems of each length, all different."""
    import dspy

    rng = random.Random(f"arithmetic {split}")
    problems: dict[str, Problem] = {}
    while len(problems) < SIZES[split]:
        problem = draw_from(rng, split, 1 + len(problems) % 4)
        problems[problem.question] = problem
    return [
        dspy.Example(question=p.question, answer=p.answer).with_inputs("question") for p in problems.values()
    ]


def handpicked() -> Sequence[dspy.Example]:
    """Problems of one to three events with their working, none of them in a split."""
    import dspy

    return [
        dspy.Example(question=question, reasoning=reasoning, answer=answer).with_inputs("question")
        for question, reasoning, answer in HANDPICKED
    ]


def metric(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
    """1 when the numbers are equal."""
    return float(str(prediction.answer).strip() == str(example.answer))


program = Program(
    name="arithmetic",
    make_module=make_module,
    examples=examples,
    metric=metric,
    chat=Chat(user="question", answer="answer", reasoning=("reasoning",)),
    sampling=Sampling(temperature=0.0, max_tokens=128),
    description="Word problems of one to four steps; the answer is a number.",
    handpicked=handpicked,
)
