"""Grade-school word problems of two to four steps, drawn from templates, with the working of each step.

Every number is whole and small, and every step right. Knows nothing of programs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from programs.tasks.lexicon import NAMES, Share, pronoun, share_of
from programs.tasks.measure_stories import MEASURES
from programs.tasks.money_stories import MONEY
from programs.tasks.story_template import PARTS, PERCENT, TIMES, WORDS, Template

Style = Literal["sentences", "lines", "equations"]

TEMPLATES = (*MONEY, *MEASURES)
# Of the templates that have a longer version.
LONGER = 0.6
_ROUND = 50  # what numbers over 100 are multiples of
_CHOICE = re.compile(r"\[([^\]]*)\]")
_CALCULATED = {"x": "*", "+": "+", "-": "-", "/": "/"}


@dataclass(frozen=True)
class Step:
    words: str
    """A sentence with `{}` where the equation stands."""
    left: int
    sign: str
    right: int

    @property
    def result(self) -> int:
        return calculate(self.left, self.sign, self.right)

    @property
    def equation(self) -> str:
        return f"{self.left:,} {self.sign} {self.right:,} = {self.result:,}"

    @property
    def sentence(self) -> str:
        return self.words.replace("{}", self.equation)

    @property
    def noted(self) -> str:
        """The sentence with the sum noted for a calculator, as GSM8K publishes it."""
        note = f"<<{self.left}{_CALCULATED[self.sign]}{self.right}={self.result}>>"
        before, equals, result = self.equation.partition("= ")
        return self.words.replace("{}", f"{before}{equals}{note}{result}")


@dataclass(frozen=True)
class Problem:
    question: str
    steps: tuple[Step, ...]

    @property
    def answer(self) -> int:
        return self.steps[-1].result

    def reasoning(self, style: Style) -> str:
        if style == "equations":
            return " ".join(f"{step.equation}." for step in self.steps)
        return ("\n" if style == "lines" else " ").join(step.sentence for step in self.steps)


def calculate(left: int, sign: str, right: int) -> int:
    """The sum's result; 0, which no problem holds, where a division leaves something over."""
    if sign == "/":
        return 0 if left % right else left // right
    return {"x": left * right, "+": left + right, "-": left - right}[sign]


def draw(rng: random.Random) -> Problem:
    template = rng.choice(TEMPLATES)
    told, ask, steps = template.told, template.ask, template.steps
    if template.more is not None and rng.random() < LONGER:
        more, ask, last = template.more
        told, steps = f"{told} {more}", (*steps, last)
    words, factors = _words(rng)
    equations = [equation for _, equation in steps]
    while (found := _numbers(rng, template, equations, factors)) is None:
        pass
    words |= {name: f"{number:,}" for name, number in found.items()}
    question = _chosen(rng, f"{told} {ask}").format_map(words)
    return Problem(question, tuple(_step(text, equation, words, found) for text, equation in steps))


def draw_from(rng: random.Random, share: Share) -> Problem:
    while share_of((problem := draw(rng)).question) != share:
        pass
    return problem


def _words(rng: random.Random) -> tuple[dict[str, str], dict[str, int]]:
    """What fills the slots, and the numbers that some of these words stand for."""
    words = {slot: rng.choice(choices) for slot, choices in WORDS.items()}
    name, other, third = rng.sample(NAMES, 3)
    she = pronoun(name)
    words |= {"name": name, "other": other, "third": third}
    words |= {"she": she, "She": she.capitalize(), "her": "her" if she == "she" else "his"}
    factors: dict[str, int] = {}
    for slot, letter, meanings in (("part", "p", PARTS), ("times", "t", TIMES), ("percent", "q", PERCENT)):
        words[slot], factors[letter] = rng.choice([*meanings.items()])
    words["Part"] = words["part"].capitalize()
    return words, factors


def _numbers(
    rng: random.Random, template: Template, equations: Sequence[str], factors: Mapping[str, int]
) -> dict[str, int] | None:
    """The story's numbers and the results of its steps; None where one is no whole number of a fit size."""
    found = {**factors, **{name: rng.choice(numbers) for name, numbers in template.numbers.items()}}
    for equation in equations:
        left, sign, right, _, name = equation.split()
        result = calculate(_number(left, found), sign, _number(right, found))
        if not 2 <= result <= template.largest or (result > 100 and result % _ROUND):
            return None
        found[name] = result
    return found


def _number(term: str, found: Mapping[str, int]) -> int:
    return found[term] if term in found else int(term)


def _chosen(rng: random.Random, text: str) -> str:
    return _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), text)


def _step(text: str, equation: str, words: Mapping[str, str], found: Mapping[str, int]) -> Step:
    left, sign, right, _, _ = equation.split()
    return Step(text.format("{}", **words), _number(left, found), sign, _number(right, found))
