"""Small invented worlds: towns, rivers, people, works and houses that name each other in their paragraphs.

A thing is a name until it is told; then its paragraph is drawn, and what that names is in the world too.
Knows nothing of questions.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from string import Formatter
from typing import NamedTuple

from deploy.student.world_phrases import KINDS
from deploy.student.world_questions import MAKERS
from deploy.student.world_words import NUMBERS, UNITS, WORDS
from programs.retrieval import Passage

MOST_TRIES = 40  # to draw a name that is free
# What a fact that is another thing is; of these, those that several paragraphs of a world may share.
LINKS = {name: name for name in KINDS} | {"port": "town"}
_SHARED = frozenset(
    ("town", "river", "mountain", "engineer", "architect", *(job for job, _ in MAKERS.values()))
)
# Facts that come some years after another one.
_LATER = {
    "died": ("born", range(52, 95)),
    "from": ("born", range(28, 44)),
    "lost": ("built", range(4, 60)),
    "yearly": ("started", range(3, 30)),
    "closed": ("started", range(20, 150)),
    "until": ("from", range(2, 9)),
}
_MADE, _MAKERS = ("year", "opened", "built"), ("maker", "architect", "engineer")
_SAID = frozenset(("N", "she", "her", "noun"))


class Telling(NamedTuple):
    """Two sentences, and the facts that they tell."""

    sentences: tuple[str, str]
    facts: tuple[str, ...]
    superlative: bool
    """Whether they are true of one thing in its country only."""


@dataclass
class Thing:
    kind: str
    name: str
    facts: dict[str, str]
    text: str = ""
    links: dict[str, Thing] = field(default_factory=dict)

    @property
    def called(self) -> str:
        return f"the {self.name}" if KINDS[self.kind].the else self.name

    @property
    def passage(self) -> Passage:
        return Passage(self.name, self.text)


class World:
    def __init__(self, rng: random.Random, taken: Collection[str] = ()) -> None:
        self.country = rng.choice(WORDS["land"]) + rng.choice(WORDS["ending"])
        self.things: list[Thing] = []
        self._rng, self._names, self._superlatives = rng, {*taken, *WORDS["county"]}, set[str]()

    def thing(self, kind: str) -> Thing:
        """A new one, known by its name alone."""
        rng, named = self._rng, KINDS[kind]
        woman = kind == "physician" or (named.group == "person" and rng.random() < 0.5)
        name, tries = "", 0
        while not name or name in self._names:
            tries += 1
            pattern = rng.choice(named.names)
            given = {"first": "woman" if woman else "man"}
            words = {part: rng.choice(WORDS[given.get(part, part)]) for part in _fields(pattern)}
            if "trade" in words:
                words["trade"] = words["trade"].title()
            name = pattern.format(**words)
            if tries > MOST_TRIES:  # all names of this kind may be taken
                name = f"{rng.choice(('New', 'Old', 'Upper', 'Lower', 'Great', 'Little'))} {name}"
        self._names.add(name)
        she, her = ("she", "her") if woman else ("he", "his")
        made = Thing(kind, name, {"noun": rng.choice(named.nouns), "she": she, "her": her})
        self.things.append(made)
        return made

    def some(self, kind: str) -> Thing:
        """One that is there already or a new one."""
        there = [thing for thing in self.things if thing.kind == kind]
        return self._rng.choice(there) if there and self._rng.random() < 0.4 else self.thing(kind)

    def tell(self, thing: Thing, *wanted: str) -> Thing:
        """Writes its paragraph, with the wanted facts in it; facts that it has already stay."""
        ways = tellings(thing.kind, wanted)
        if thing.kind in self._superlatives:
            ways = tuple(way for way in ways if not way.superlative) or ways
        way = self._rng.choice(ways)
        if way.superlative:
            self._superlatives.add(thing.kind)
        facts = thing.facts
        for name in way.facts:
            if name not in facts:
                facts[name] = self._fact(thing, name)
        told = [sentence.format(N=thing.called, **facts) for sentence in way.sentences]
        thing.text = " ".join(sentence[0].upper() + sentence[1:] for sentence in told)
        return thing

    def _fact(self, thing: Thing, name: str) -> str:
        rng, facts = self._rng, thing.facts
        if name == "country":
            return self.country
        kind = MAKERS[thing.kind][0] if name == "maker" else LINKS.get(name)
        if kind:
            other = self.some(kind) if kind in _SHARED else self.thing(kind)
            while other is thing or other.name in facts.values():
                other = self.thing(kind)
            thing.links[name] = other
            return other.name
        if name in _LATER:
            before, years = _LATER[name]
            return str(int(facts[before]) + rng.choice(years))
        if name == "born" and thing.kind == "footballer":
            return str(rng.randint(1935, 1985))
        if name in _MADE and (makers := [one for link, one in thing.links.items() if link in _MAKERS]):
            return self._year(makers[0])
        if name in NUMBERS:
            number = rng.choice(NUMBERS[name])
            return f"{number:,}{UNITS[name]}" if name in UNITS else str(number)
        return rng.choice(WORDS[name])

    def _year(self, maker: Thing) -> str:
        """A year in which its maker lived and worked."""
        for name in ("born", "died"):
            if name not in maker.facts:
                maker.facts[name] = self._fact(maker, name)
        return str(self._rng.randint(int(maker.facts["born"]) + 22, int(maker.facts["died"])))


@cache
def tellings(kind: str, wanted: tuple[str, ...] = ()) -> tuple[Telling, ...]:
    """The ways to tell a thing of this kind that hold the wanted facts; none tells a fact twice."""
    found = []
    for first in KINDS[kind].first:
        for second in KINDS[kind].second:
            told = [*_facts(first), *_facts(second)]
            # Some facts follow from what they are linked to, so links come first.
            told.sort(key=lambda name: name not in LINKS and name != "maker")
            twice = len({*told}) < len(told) or {"mountain", "hills"} <= {*told}
            if not twice and {*told} >= {*wanted}:
                superlative = "country" in told and kind != "politician"
                found.append(Telling((first, second), tuple(told), superlative))
    return tuple(found)


@cache
def _fields(pattern: str) -> tuple[str, ...]:
    return tuple(name for _, name, _, _ in Formatter().parse(pattern) if name)


def _facts(sentence: str) -> list[str]:
    return [name for name in dict.fromkeys(_fields(sentence)) if name not in _SAID]
