"""Questions about invented worlds, with the two paragraphs that they rest on and others of the same world."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from deploy.student.world_facts import Thing, World, tellings
from deploy.student.world_phrases import KINDS
from deploy.student.world_questions import ASK, COMPARISONS, MAKERS, ROUTES, SAME, SHORT, Comparison

_WEIGHTS = [route.weight for route in ROUTES]
# Kinds that stand among the others more often than the rest.
_OTHERS = (*KINDS, *("town",) * 8, *("river",) * 2)


@dataclass(frozen=True)
class Case:
    question: str
    answer: str
    supporting: tuple[Thing, Thing]
    told: Thing
    """The one whose paragraph holds the answer, as far as there is one."""
    described: str
    """What the question calls the thing that it doesn't name; empty where it names both."""
    others: tuple[Thing, ...]

    @property
    def bridge(self) -> bool:
        return bool(self.described)


def draw(rng: random.Random, taken: Collection[str], paragraphs: int) -> Case:
    """A question with that many paragraphs in a world of its own, where nothing has a name that is taken."""
    world = World(rng, taken)
    (make,) = rng.choices((_bridge, _third, _compared, _same), (0.68, 0.04, 0.15, 0.13))
    question, answer, things, described = make(rng, world)
    first, second = things
    told = first if answer == first.name else second
    others = tuple(_others(rng, world, things, paragraphs - 2))
    return Case(_tidy(question), answer, things, told, _tidy(described), others)


_Drawn = tuple[str, str, tuple[Thing, Thing], str]


def _bridge(rng: random.Random, world: World) -> _Drawn:
    (route,) = rng.choices(ROUTES, _WEIGHTS)
    start = world.tell(world.thing(rng.choice(route.start)), route.link)
    end = start.links[route.link]
    asked = rng.choice(_asked(end.kind))
    world.tell(end, asked)
    forms = SHORT.get((start.kind, route.link, asked), ())
    head, clause = "", ""
    if forms and rng.random() < 0.5:
        form = rng.choice(forms)
        described = f"the {start.links[route.link].facts['noun']} of {start.name}"
    else:
        form = rng.choice(_forms(end.kind, asked))
        head, clause = (said.format(**_said(start, end)) for said in rng.choice(route.said))
        described = f"{head} {clause}"
    place = end.links.get("town", end)
    said = {**end.facts, **_said(start, end), "n": _place(place), "h": head, "c": clause}
    return form.format(**said), end.facts[asked], (start, end), described


def _third(rng: random.Random, world: World) -> _Drawn:
    """Two paragraphs that name the same third thing, or one thing told by what it alone is."""
    if rng.random() < 0.4:
        cape, light = world.tell(world.thing("cape"), "direction"), world.thing("lighthouse")
        light.facts["cape"], light.links["cape"] = cape.name, cape
        world.tell(light)
        point = f"the {cape.facts['direction']} point of {world.country}"
        question = f"When was the lighthouse first lit that stands on {point}?"
        return question, light.facts["lit"], (cape, light), f"the lighthouse on {point}"
    sailor, mills, ship = (world.thing(kind) for kind in ("explorer", "mills", "ship"))
    for one in (sailor, mills):
        one.facts["ship"], one.links["ship"] = ship.name, ship
        world.tell(one)
    if rng.random() < 0.5:
        described = f"the company of the sails of {ship.called}"
        question = f"Which company's sails did the ship of {sailor.name} carry?"
        return question, mills.name, (sailor, mills), described
    described = f"the explorer of {ship.called}"
    question = f"Which explorer sailed on the ship whose sails came from {mills.name}?"
    return question, sailor.name, (mills, sailor), described


def _said(start: Thing, end: Thing) -> dict[str, str]:
    said = {"a": start.called, "ja": f"the {start.facts['noun']} {start.name}", "n": _place(end)}
    return {**said, "m": MAKERS.get(start.kind, ("", ""))[1], "goals": start.facts.get("goals", "")}


def _place(thing: Thing) -> str:
    return noun if (noun := thing.facts["noun"]) in ("village", "city") else "town"


def _compared(rng: random.Random, world: World) -> _Drawn:
    comparison = rng.choice(COMPARISONS)
    more = rng.random() < 0.5
    form = rng.choice(comparison.more if more else comparison.less)
    kinds = [kind for kind in comparison.kinds if tellings(kind, _wanted(comparison))]
    first = rng.choice(kinds)
    second = first if "{k}" in form and KINDS[first].group == "work" else rng.choice(kinds)
    a, b = (world.tell(world.thing(kind), *_wanted(comparison)) for kind in (first, second))
    while _number(a, comparison) == _number(b, comparison):
        b = world.tell(world.thing(second), *_wanted(comparison))
    larger, smaller = sorted((a, b), key=lambda thing: -_number(thing, comparison))
    question = form.format(a=a.called, b=b.called, k=KINDS[first].nouns[0])
    return question, (larger if more else smaller).name, (a, b), ""


def _wanted(comparison: Comparison) -> tuple[str, ...]:
    return ("born", "died") if comparison.fact == "age" else (comparison.fact,)


def _number(thing: Thing, comparison: Comparison) -> int:
    if comparison.fact == "age":
        return int(thing.facts["died"]) - int(thing.facts["born"])
    return int(thing.facts[comparison.fact].split()[0].replace(",", ""))


def _same(rng: random.Random, world: World) -> _Drawn:
    if rng.random() < 0.25:
        return _both(rng, world)
    kinds, fact, whether, named = rng.choice(SAME)
    a, b = (world.thing(rng.choice(kinds)) for _ in range(2))
    world.tell(a, fact)
    if rng.random() < 0.5:
        b.facts[fact] = a.facts[fact]
        if fact in a.links:
            b.links[fact] = a.links[fact]
    world.tell(b, fact)
    same = a.facts[fact] == b.facts[fact]
    form = rng.choice(whether if rng.random() < 0.6 else named)
    names = {"a": a.called, "b": b.called, "x": rng.choice((a, b)).facts[fact]}
    jobs = {f"j{at}": f"the {one.facts['noun']} {one.name}" for at, one in (("a", a), ("b", b))}
    return form.format(**names, **jobs), "yes" if same else "no", (a, b), ""


def _both(rng: random.Random, world: World) -> _Drawn:
    """Whether two works are of one kind, or two people of one trade, or two works made before a year."""
    group = rng.choice(("work", "work", "person"))
    kinds = [kind for kind, known in KINDS.items() if known.group == group]
    first = rng.choice(kinds)
    second = first if rng.random() < 0.5 else rng.choice(kinds)
    a, b = (world.tell(world.thing(kind)) for kind in (first, second))
    if group == "work" and rng.random() < 0.4:
        year = rng.randrange(1850, 1990, 10)
        question = f"Were both {a.called} and {b.called} made before {year}?"
        return question, _yes(all(int(one.facts["year"]) < year for one in (a, b))), (a, b), ""
    verb = "Are" if group == "work" else "Were"
    question = f"{verb} {a.called} and {b.called} both {rng.choice((a, b)).facts['noun']}s?"
    return question, _yes(first == second), (a, b), ""


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _others(rng: random.Random, world: World, things: tuple[Thing, Thing], count: int) -> list[Thing]:
    """Paragraphs beside the two: like them, or named in them, or anything."""
    found: list[Thing] = []
    for _ in range(count):
        untold = [thing for thing in world.things if not thing.text]
        chance = rng.random()
        if chance < 0.4:
            other = world.thing(rng.choice(things).kind)
        elif chance < 0.7 and untold:
            other = rng.choice(untold)
        else:
            other = world.thing(rng.choice(_OTHERS))
        found.append(world.tell(other))
    return found


@cache
def _asked(kind: str) -> tuple[str, ...]:
    """The facts of this kind that there are questions for; where it was born or lies counts for several."""
    known = {fact: tellings(kind, (fact,)) for fact in {**ASK.get(kind, {}), **ASK[KINDS[kind].group]}}
    facts = [fact for fact, ways in known.items() if ways]
    return (*facts, *(fact for fact in facts if fact in ("county", "town", "river") for _ in range(3)))


def _forms(kind: str, fact: str) -> tuple[str, ...]:
    return ASK.get(kind, {}).get(fact) or ASK[KINDS[kind].group][fact]


def _tidy(question: str) -> str:
    return " ".join(question.split()).replace(" ?", "?").replace(" ,", ",")
