"""Templates of word problems about prices, wages and savings. Plain data, read by `story_problems`."""

from __future__ import annotations

from programs.tasks.story_template import FEW, SMALL, TEENS, TENS, Template

MONEY = (
    Template(
        "{name} buys {a} {item} at ${b} each and pays with ${c}.",
        "How many dollars [of change does {she} get|does {she} get back]?",
        (("The {item} cost {} dollars.", "a x b = r"), ("The change is {} dollars.", "c - r = s")),
        {"a": SMALL, "b": SMALL, "c": (20, 30, 40, 50, 100), "d": SMALL},
        (
            "With the change {she} buys {food} for ${d}.",
            "How many dollars does {she} have left?",
            ("After buying {food}, {} dollars are left.", "s - d = v"),
        ),
    ),
    Template(
        "[In a shop|At the market] {item} cost ${a} each and {toy} cost ${b} each. "
        "{name} buys {c} {item} and {d} {toy}.",
        "How many dollars does {she} [pay|spend] in all?",
        (
            ("The {item} cost {} dollars.", "c x a = r"),
            ("The {toy} cost {} dollars.", "d x b = s"),
            ("Together that is {} dollars.", "r + s = v"),
        ),
        {"a": SMALL, "b": SMALL, "c": FEW, "d": FEW, "e": (50, 60, 80, 100)},
        (
            "{She} had ${e}.",
            "How many dollars does {she} have left?",
            ("So {} dollars are left.", "e - v = w"),
        ),
    ),
    Template(
        "{name} [earns|gets] ${a} an hour. {She} works {b} hours on Monday and {c} hours on Tuesday.",
        "How many dollars does {she} earn?",
        (("{name} works {} hours.", "b + c = r"), ("{She} earns {} dollars.", "r x a = s")),
        {"a": range(5, 13), "b": FEW, "c": FEW, "d": TEENS},
        (
            "{She} spends ${d} of it.",
            "How many dollars are left?",
            ("After spending {d}, {} dollars are left.", "s - d = v"),
        ),
    ),
    Template(
        "{name} earns ${a} an hour for {b} hours a day and spends ${c} a day on {food}.",
        "How many dollars does {she} keep of each day's [pay|wage]?",
        (("{name} earns {} dollars a day.", "a x b = r"), ("{She} keeps {} dollars a day.", "r - c = s")),
        {"a": range(5, 13), "b": FEW, "c": SMALL, "d": FEW},
        (
            "{She} works {d} days a week.",
            "How many dollars does {she} keep in a week?",
            ("In a week {she} keeps {} dollars.", "s x d = v"),
        ),
    ),
    Template(
        "[In a shop|At the market] {item} cost ${a} each. In a sale they cost {percent} less.",
        "How many dollars does one cost in the sale?",
        (("The price falls by {} dollars.", "a / q = r"), ("One costs {} dollars then.", "a - r = s")),
        {"a": range(4, 61, 2), "d": FEW},
        (
            "{name} buys {d} of them in the sale.",
            "How many dollars does {she} pay?",
            ("{name} pays {} dollars.", "s x d = v"),
        ),
    ),
    Template(
        "{name} wants a [bike|coat|phone] that costs ${a}. {She} has ${b} and saves ${c} a week.",
        "How many weeks does {she} [need|have to save]?",
        (("{name} still needs {} dollars.", "a - b = r"), ("That takes {} weeks.", "r / c = s")),
        {"a": TENS, "b": TEENS, "c": SMALL},
    ),
    Template(
        "{name} has {a} {bird}. Each lays {b} eggs a week. "
        "{She} keeps {c} eggs and sells the others for ${d} each.",
        "How many dollars does {she} get in a week?",
        (
            ("The {bird} lay {} eggs.", "a x b = r"),
            ("{name} sells {} eggs.", "r - c = s"),
            ("{She} gets {} dollars.", "s x d = v"),
        ),
        {"a": SMALL, "b": FEW, "c": SMALL, "d": (2, 3), "e": SMALL},
        (
            "The corn for the {bird} costs ${e} a week.",
            "How many dollars are left?",
            ("After paying for the corn, {} dollars are left.", "v - e = w"),
        ),
    ),
    Template(
        "{name}, {other} and {third} buy a present for ${a} and a card for ${b}. "
        "They [share|split] the cost equally.",
        "How many dollars does each of them pay?",
        (("The cost is {} dollars.", "a + b = r"), ("Each pays {} dollars.", "r / 3 = s")),
        {"a": range(10, 61), "b": FEW, "d": (20, 30, 40, 50)},
        (
            "{name} had ${d}.",
            "How many dollars does {name} have left?",
            ("{name} has {} dollars left.", "d - s = v"),
        ),
    ),
    Template(
        "A [phone|room|boat] costs ${a} a day and ${b} more for each hour. "
        "{name} takes it for one day and {c} hours.",
        "How many dollars does {she} pay?",
        (("The hours cost {} dollars.", "b x c = r"), ("With the day that is {} dollars.", "r + a = s")),
        {"a": TEENS, "b": FEW, "c": SMALL, "d": SMALL},
        (
            "{other} pays ${d} of it.",
            "How many dollars are left for {name} to pay?",
            ("So {name} pays {} dollars.", "s - d = v"),
        ),
    ),
    Template(
        "{name} has ${a}. {She} spends {part} of it on [shoes|tickets|paper] and ${b} on {food}.",
        "How many dollars does {she} have left?",
        (
            ("First {she} spends {} dollars.", "a / p = r"),
            ("Then {she} has {} dollars.", "a - r = s"),
            ("After buying {food}, {} dollars are left.", "s - b = v"),
        ),
        {"a": range(12, 97, 2), "b": SMALL, "d": SMALL},
        (
            "Then {other} gives {name} ${d}.",
            "How many dollars does {name} have now?",
            ("Now {name} has {}.", "v + d = w"),
        ),
    ),
)
