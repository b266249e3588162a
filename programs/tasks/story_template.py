"""The form of a word problem's template, and the words and sizes that templates draw from.

`[a|b]` is a choice, `{name}` a slot, `{}` the place of a step's equation. Knows no template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from programs.tasks.lexicon import DAYS, FOODS, GOODS

WORDS: Mapping[str, Sequence[str]] = {
    "item": tuple(word for word in GOODS if word not in ("boxes", "bags", "tables", "chairs", "apples")),
    "baked": ("rolls", "muffins", "cookies", "pies", "cakes"),
    "fruit": ("apples", "pears", "plums", "lemons", "peaches", "melons"),
    "flower": ("roses", "tulips", "lilies", "daisies"),
    "animal": ("cows", "goats", "sheep", "pigs", "horses"),
    "bird": ("hens", "ducks", "geese"),
    "holder": ("boxes", "bags", "baskets", "crates"),
    "toy": ("kites", "drums", "dolls", "puzzles", "balls"),
    "food": tuple(word for word in FOODS if word not in ("pears", "beans", "cake")),
    "kin": ("sister", "brother", "cousin"),
    "day": DAYS,
}
PARTS = {"half": 2, "a third": 3, "a quarter": 4}
TIMES = {"twice": 2, "three times": 3, "four times": 4}
PERCENT = {"50%": 2, "25%": 4, "20%": 5, "10%": 10}

SMALL, FEW, TEENS = range(2, 10), range(2, 6), range(5, 21)
TENS, HUNDREDS = range(20, 101, 10), range(100, 501, 100)


@dataclass(frozen=True)
class Template:
    told: str
    ask: str
    steps: tuple[tuple[str, str], ...]
    """Words and equation of each; `p`, `t` and `q` are the numbers of {part}, {times} and {percent}."""
    numbers: Mapping[str, Sequence[int]]
    """What each letter of the equations may be."""
    more: tuple[str, str, tuple[str, str]] | None = None
    """What a longer version tells besides, what it asks instead, and its last step."""
    largest: int = 100
