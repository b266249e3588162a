"""Templates of word problems about amounts, times and distances. Plain data, read by `story_problems`."""

from __future__ import annotations

from programs.tasks.story_template import FEW, HUNDREDS, SMALL, TEENS, TENS, Template

MEASURES = (
    Template(
        "{name} [bakes|makes] {a} trays of {b} {baked}. {She} sells {c} of them.",
        "How many {baked} are left?",
        (("{name} has {} {baked}.", "a x b = r"), ("After selling {c}, {} are left.", "r - c = s")),
        {"a": SMALL, "b": SMALL, "c": TEENS, "d": FEW},
        (
            "{She} packs the rest into bags of {d}.",
            "How many bags does {she} fill?",
            ("They fill {} bags.", "s / d = v"),
        ),
    ),
    Template(
        "{name} [picks|buys|finds] {a} {fruit}. {other} [gets|has] {part} as many.",
        "How many {fruit} do they have [together|in all]?",
        (("{other} has {} {fruit}.", "a / p = r"), ("Together they have {} {fruit}.", "a + r = s")),
        {"a": range(6, 49), "d": SMALL},
        ("They eat {d} of them.", "How many {fruit} are left?", ("So {} are left.", "s - d = v")),
    ),
    Template(
        "{name} is {times} as old as {her} {kin}, who is {a} years old.",
        "How old will {name} be in {b} years?",
        (("{name} is {} years old now.", "a x t = r"), ("In {b} years that is {}.", "r + b = s")),
        {"a": range(3, 13), "b": range(2, 13), "d": range(2, 21)},
        (
            "Their aunt is {d} years older than {name}.",
            "How old will the aunt be in {b} years?",
            ("The aunt will be {}.", "s + d = v"),
        ),
    ),
    Template(
        "A [tank|pool] holds {a} litres. It is {part} full. A [hose|pipe] adds {b} litres a minute.",
        "How many minutes does it take to fill it?",
        (
            ("It holds {} litres now.", "a / p = r"),
            ("So {} litres are missing.", "a - r = s"),
            ("That takes {} minutes.", "s / b = v"),
        ),
        {"a": range(12, 97, 4), "b": SMALL},
    ),
    Template(
        "{name} rides [a bike|a horse] at {a} kilometres an hour for {b} hours and walks {c} kilometres.",
        "How many kilometres does {she} [travel|go]?",
        (("{name} rides {} kilometres.", "a x b = r"), ("With the walk that is {} kilometres.", "r + c = s")),
        {"a": range(6, 21), "b": FEW, "c": SMALL, "d": (60, 70, 80, 90, 100)},
        (
            "The whole way is {d} kilometres long.",
            "How many kilometres are still to go?",
            ("So {} kilometres are still to go.", "d - s = v"),
        ),
    ),
    Template(
        "A class has {a} pupils. {percent} of them are [sick|away] on {day}.",
        "How many pupils are there on {day}?",
        (("On {day} {} pupils are missing.", "a / q = r"), ("So {} pupils are there.", "a - r = s")),
        {"a": range(8, 61, 2), "d": FEW},
        (
            "The others work in groups of {d}.",
            "How many groups are there?",
            ("They make {} groups.", "s / d = v"),
        ),
    ),
    Template(
        "A book has {a} pages. {name} reads {b} pages a day for {c} days.",
        "How many pages are [left|still to read]?",
        (("{name} reads {} pages.", "b x c = r"), ("So {} pages are left.", "a - r = s")),
        {"a": TENS, "b": range(4, 13), "c": FEW, "d": SMALL},
        (
            "Then {she} reads {d} pages a day.",
            "How many more days does {she} need?",
            ("{She} needs {} more days.", "s / d = v"),
        ),
    ),
    Template(
        "{name} and {a} friends share {b} [bags|bowls] of {c} {fruit} equally.",
        "How many {fruit} does each of them get?",
        (
            ("There are {} {fruit}.", "b x c = r"),
            ("There are {} people.", "a + 1 = s"),
            ("Each gets {} {fruit}.", "r / s = v"),
        ),
        {"a": FEW, "b": FEW, "c": range(3, 13), "d": FEW},
        ("{name} eats {d}.", "How many {fruit} does {name} have left?", ("{name} has {} left.", "v - d = w")),
    ),
    Template(
        "{name} plants {a} rows of {b} {flower} and {c} rows of {d} bushes.",
        "How many plants are there?",
        (
            ("There are {} {flower}.", "a x b = r"),
            ("There are {} bushes.", "c x d = s"),
            ("Together that is {} plants.", "r + s = v"),
        ),
        {"a": FEW, "b": SMALL, "c": FEW, "d": SMALL, "e": SMALL},
        (
            "In the [frost|storm] {e} of them die.",
            "How many plants are left?",
            ("So {} plants are left.", "v - e = w"),
        ),
    ),
    Template(
        "A [garden|field|yard] is {a} metres long and {b} metres wide. {name} puts a fence all around it.",
        "How many metres of fence does {she} need?",
        (("Half of the fence is {} metres.", "a + b = r"), ("All of it is {} metres.", "r x 2 = s")),
        {"a": range(4, 26), "b": SMALL, "d": FEW},
        (
            "A metre of fence costs ${d}.",
            "How many dollars does the fence cost?",
            ("The fence costs {} dollars.", "s x d = v"),
        ),
    ),
    Template(
        "A [bus|boat|train] has {a} rows of {b} seats. {c} people get on.",
        "How many seats are [free|empty]?",
        (("There are {} seats.", "a x b = r"), ("So {} seats are free.", "r - c = s")),
        {"a": range(4, 13), "b": FEW, "c": TEENS, "d": SMALL},
        (
            "At the next stop {d} more get on.",
            "How many seats are free then?",
            ("Then {} seats are free.", "s - d = v"),
        ),
    ),
    Template(
        "A farm has {a} {animal} with 4 legs each and {b} {bird} with 2 legs each.",
        "How many legs do they have in all?",
        (
            ("The {animal} have {} legs.", "a x 4 = r"),
            ("The {bird} have {} legs.", "b x 2 = s"),
            ("Together that is {} legs.", "r + s = v"),
        ),
        {"a": range(2, 13), "b": range(2, 16)},
    ),
    Template(
        "An empty crate weighs {a} kilograms. {name} puts {b} bags of {c} kilograms each into it.",
        "How many kilograms does the crate weigh now?",
        (
            ("The bags weigh {} kilograms.", "b x c = r"),
            ("With the crate it is {} kilograms.", "r + a = s"),
        ),
        {"a": SMALL, "b": FEW, "c": SMALL, "d": FEW},
        (
            "A cart carries {d} of these crates.",
            "How many kilograms does the cart carry?",
            ("The cart carries {} kilograms.", "s x d = v"),
        ),
    ),
    Template(
        "{name} has {a} {item}. {other} has {b} more than {name}. {third} has {times} as many as {other}.",
        "How many {item} does {third} have?",
        (("{other} has {} {item}.", "a + b = r"), ("{third} has {} {item}.", "r x t = s")),
        {"a": range(2, 16), "b": range(2, 11), "d": SMALL},
        (
            "{third} then gives {d} away.",
            "How many {item} does {third} have left?",
            ("{third} has {} left.", "s - d = v"),
        ),
    ),
    Template(
        "A [mill|factory|shop] has {a} {holder}. It sells {b} on {day} and {times} as many the next day.",
        "How many {holder} are left?",
        (
            ("The next day it sells {} {holder}.", "b x t = r"),
            ("In both days it sells {} {holder}.", "b + r = s"),
            ("So {} {holder} are left.", "a - s = v"),
        ),
        {"a": range(600, 2001, 100), "b": HUNDREDS},
        largest=2000,
    ),
    Template(
        "A [fair|museum|zoo] has {a} visitors. {Part} of them are children, and {b} are old people.",
        "How many visitors are neither?",
        (
            ("There are {} children.", "a / p = r"),
            ("Without them there are {} visitors.", "a - r = s"),
            ("So {} are neither.", "s - b = v"),
        ),
        {"a": (*range(300, 2001, 300), 400, 800, 1000, 1600), "b": range(50, 201, 50)},
        largest=2000,
    ),
    Template(
        "A machine makes {a} {toy} in {b} minutes.",
        "How many {toy} does it make in {c} minutes?",
        (
            ("In one minute it makes {} {toy}.", "a / b = r"),
            ("In {c} minutes it makes {} {toy}.", "r x c = s"),
        ),
        {"a": range(6, 61), "b": SMALL, "c": range(3, 13), "d": SMALL},
        (
            "In {c} minutes {d} {toy} come out broken.",
            "How many good {toy} does it make in {c} minutes?",
            ("So {} are good.", "s - d = v"),
        ),
    ),
    Template(
        "{name} needs {a} minutes to [wash|paint|mend] a shelf and {b} minutes for a table. "
        "{She} does {c} shelves and {d} tables.",
        "How many minutes does {she} [work|need]?",
        (
            ("The shelves take {} minutes.", "c x a = r"),
            ("The tables take {} minutes.", "d x b = s"),
            ("Together that is {} minutes.", "r + s = v"),
        ),
        {"a": SMALL, "b": range(3, 13), "c": FEW, "d": FEW, "e": (5, 10, 15, 20)},
        (
            "Then {she} rests for {e} minutes.",
            "How many minutes is that with the rest?",
            ("With the rest that is {} minutes.", "v + e = w"),
        ),
    ),
    Template(
        "{name} runs {a} kilometres on each of {b} days and {c} kilometres on {day}.",
        "How many kilometres does {she} run [in all|altogether]?",
        (("In {b} days {she} runs {} kilometres.", "a x b = r"), ("With {day} that is {}.", "r + c = s")),
        {"a": SMALL, "b": FEW, "c": range(3, 16), "d": SMALL},
        (
            "{other} runs {d} kilometres less than {name}.",
            "How many kilometres does {other} run?",
            ("{other} runs {} kilometres.", "s - d = v"),
        ),
    ),
    Template(
        "A cake for {a} people takes {b} eggs. {name} bakes for {c} people.",
        "How many eggs does {she} need?",
        (("That is {} times as much.", "c / a = r"), ("{name} needs {} eggs.", "b x r = s")),
        {"a": SMALL, "b": FEW, "c": range(8, 49), "d": SMALL},
        ("{She} has {d} eggs.", "How many eggs must {she} buy?", ("{She} must buy {} eggs.", "s - d = v")),
    ),
    Template(
        "{name} lives {a} kilometres from [school|work]. {She} goes there and back on {b} days.",
        "How many kilometres is that?",
        (
            ("There and back is {} kilometres.", "a x 2 = r"),
            ("In {b} days that is {} kilometres.", "r x b = s"),
        ),
        {"a": SMALL, "b": FEW, "d": SMALL},
        (
            "{She} walks {d} kilometres of it and takes the bus for the rest.",
            "How many kilometres does {she} take the bus?",
            ("So {} kilometres are by bus.", "s - d = v"),
        ),
    ),
    Template(
        "{name} has {a} {item}. {She} gives {part} of them to {other} and loses {b}.",
        "How many {item} does {name} have left?",
        (
            ("{other} gets {} {item}.", "a / p = r"),
            ("{name} keeps {} {item}.", "a - r = s"),
            ("After losing {b}, {} are left.", "s - b = v"),
        ),
        {"a": range(8, 61), "b": SMALL, "d": TEENS},
        (
            "Then {she} buys {d} more.",
            "How many {item} does {name} have now?",
            ("Now {name} has {}.", "v + d = w"),
        ),
    ),
)
