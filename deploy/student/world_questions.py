"""How invented worlds are asked about: a thing described through another one, and two things compared.

`{h}` and `{c}` are what is described and the clause behind it ("the river", "that Osk Bridge crosses"); `{a}`
and `{b}` are things with their articles, `{ja}` with the job or kind before it too.
"""

from __future__ import annotations

from typing import NamedTuple

# Group or kind of the thing asked about -> its fact -> questions.
ASK: dict[str, dict[str, tuple[str, ...]]] = {
    "town": {
        "county": (
            "In which county does {h} lie {c}?",
            "In which county does {h} lie {c}?",
            "In which county is {h} {c}?",
        ),
        "river": ("On which river does {h} lie {c}?", "On which river is {h} {c}?"),
        "lake": ("Which lake lies beside {h} {c}?", "At which lake does {h} lie {c}?"),
        "island": ("On which island does {h} lie {c}?", "On which island is {h} {c}?"),
        "founded": ("In which year was {h} founded {c}?", "When was {h} founded {c}?"),
        "founders": ("Who founded {h} {c}?", "By whom was {h} founded {c}?"),
        "since": ("Since when has {h} been known for its {craft} {c}?",),
        "month": ("In which month is the fair held of {h} {c}?",),
        "roof": ("What is the town hall roofed with in {h} {c}?",),
        "people": (
            "How many inhabitants has {h} {c}?",
            "How many inhabitants did {h} {c} have in 1990?",
            "How many inhabitants had {h} {c}?",
        ),
        "catch": ("What does the fleet of {h} {c} catch?", "What does the fleet catch of {h} {c}?"),
        "storm": ("After which year's storm was the harbour rebuilt of {h} {c}?",),
        "cloth": ("What are the weavers known for of {h} {c}?",),
        "canal": ("When was the canal opened of {h} {c}?", "In which year was the canal opened of {h} {c}?"),
        "cake": ("What is {h} known for {c}, beside its {pride}?",),
        "springs": ("When were the springs first described of {h} {c}?",),
        "goods": ("What did most people once build in {h} {c}?",),
        "wares": ("Which market is held in {h} {c}?",),
    },
    "river": {
        "length": ("How long is {h} {c}?",),
        "mountain": ("On which mountain does {h} rise {c}?",),
        "lake": ("Into which lake flows {h} {c}?", "Into which lake does {h} flow {c}?"),
        "hills": ("In which hills does {h} rise {c}?",),
        "month": ("In which month do salmon run up {h} {c}?",),
        "fish": ("Which fish is {h} known for {c}?",),
    },
    "lake": {
        "county": ("In which county is {h} {c}?", "In which county does {h} lie {c}?"),
        "depth": ("How deep is {h} {c}?",),
    },
    "mountain": {
        "height": ("How high is {h} {c}?",),
        "climbed": ("When was {h} first climbed {c}?", "In which year was {h} first climbed {c}?"),
        "county": ("In which county is {h} {c}?",),
        "founders": ("Who first climbed {h} {c}?",),
    },
    "hills": {
        "county": ("In which county are {h} {c}?",),
        "earth": ("What gives the streams a {tint} colour in {h} {c}?",),
        "tint": ("Which colour have the streams in {h} {c}?",),
    },
    "island": {
        "distance": ("How far off the coast is {h} {c}?",),
        "dialect": ("Which dialect is spoken on {h} {c}?",),
        "county": ("Off the coast of which county is {h} {c}?",),
        "birds": ("Which birds is {h} known for {c}?",),
    },
    "cape": {"birds": ("Which birds live on the cliffs of {h} {c}?",)},
    "person": {
        "town": (
            "In which {n} was {h} born {c}?",
            "In which {n} was {h} born {c}?",
            "Where was {h} born {c}?",
        ),
        "born": ("In which year was {h} born {c}?", "When was {h} born {c}?"),
        "died": ("In which year did {h} die {c}?", "When did {h} die {c}?"),
        "observatory": ("Which observatory did {h} lead {c}?",),
        "university": ("At which university did {h} teach {c}?",),
        "conservatory": ("Which school did {h} head {c}?",),
        "ship": ("What was the ship of {h} called {c}?",),
        "firm": ("Which firm did {h} found {c}?", "Which firm was founded by {h} {c}?"),
        "football": ("For which club did {h} play {c}?",),
        "mountain": ("Which mountain was {h} the first to fly over {c}?",),
        "matter": ("In what did {h} work {c}, beside blown glass?",),
        "office": ("Which office did {h} hold until {until} {c}?",),
        "until": ("Until which year was {h} {office} {c}?",),
    },
    "poet": {"trade": ("What did {h} work as {c} until {she} was fifty?",)},
    "film director": {"trade": ("What was {h} first {c}?",)},
    "architect": {"taste": ("What was {h} fond of {c}, beside round windows?",)},
    "novelist": {"number": ("How many novels did {h} write {c}?",)},
    "painter": {"number": ("For how many years did {h} teach drawing {c}?",)},
    "composer": {"number": ("How many operas did {h} write {c}?",)},
    "astronomer": {"number": ("How many comets did {h} discover {c}?",)},
    "botanist": {"number": ("How many kinds of {plant} did {h} describe {c}?",)},
    "building": {
        "town": ("In which town does {h} stand {c}?", "In which town is {h} {c}?"),
        "opened": ("When was {h} opened {c}?", "In which year was {h} opened {c}?"),
        "architect": ("Who designed {h} {c}?",),
        "politician": ("Who gave the largest telescope to {h} {c}?",),
        "traded": ("Until which year was {wares} traded in {h} {c}?",),
        "lit": ("When was {h} first lit {c}?",),
    },
    "ship": {
        "town": ("In which town was {h} built {c}?", "Where was {h} built {c}?"),
        "built": ("In which year was {h} built {c}?", "When was {h} built {c}?"),
        "lost": ("In which year was {h} lost {c}?", "When was {h} lost in the ice {c}?"),
    },
    "company": {
        "started": ("In which year was {h} founded {c}?", "When was {h} founded {c}?"),
        "port": ("Between {town} and which town does {h} run ferries {c}?",),
        "town": ("Between {port} and which town does {h} run ferries {c}?",),
    },
    "firm": {
        "town": ("In which town was {h} {c}?",),
        "closed": ("In which year did {h} close {c}?", "When did {h} close {c}?"),
    },
    "club": {
        "started": ("In which year was {h} founded {c}?", "When was {h} founded {c}?"),
        "colour": ("Which colour do the players of {h} wear {c}?",),
    },
    "school": {
        "founded": ("When was {h} founded {c}?", "In which year was {h} founded {c}?"),
        "started": ("When was {h} founded {c}?", "In which year was {h} founded {c}?"),
        "books": ("How many books does the library hold of {h} {c}?",),
        "day": ("On which day of the week do the students of {h} {c} give a free concert?",),
    },
}


class Route(NamedTuple):
    """A way from a thing to another one that its paragraph names."""

    start: tuple[str, ...]
    link: str
    said: tuple[tuple[str, str], ...]
    """What the other one is called by it: `{h}` and `{c}`."""
    weight: int = 2


_PEOPLE = (
    *("novelist", "painter", "composer", "astronomer", "explorer", "engineer", "architect", "botanist"),
    *("chess player", "film director", "mathematician", "aviator", "politician", "sculptor", "poet"),
    *("ceramist", "physician"),
)
_WORKS = ("novel", "opera", "film", "sculpture", "painting", "poem", "book", "children's book")
ROUTES = (
    Route(
        _PEOPLE,
        "town",
        (
            ("the {n}", "where {ja} was born"),
            ("the {n}", "where {ja} was born"),
            ("the {n}", "where {a} was born"),
            ("the birthplace of {a}", ""),
        ),
        20,
    ),
    Route(("footballer",), "town", (("the home town of {ja}", ""), ("the {n}", "where {ja} comes from"))),
    Route(
        ("hall", "cathedral", "museum", "gallery", "observatory", "college"),
        "town",
        (("the {n} of {a}", ""), ("the {n}", "where {a} stands"), ("the {n}", "in which {a} is")),
        7,
    ),
    Route(("firm",), "town", (("the {n}", "where the firm {a} was"), ("the {n} of {a}", ""))),
    Route(("ship",), "town", (("the {n}", "where {a} was built"),)),
    Route(_WORKS, "maker", (("the {m} of {a}", ""),), 12),
    Route(("hall", "museum"), "architect", (("the architect of {a}", ""),), 3),
    Route(("bridge", "viaduct"), "engineer", (("the builder of {a}", ""),), 3),
    Route(("observatory",), "politician", (("the giver of {a}'s largest telescope", ""),), 1),
    Route(
        ("mathematician",),
        "university",
        (("the university", "at which {a} taught"), ("the university", "where {ja} taught")),
    ),
    Route(
        ("composer",),
        "conservatory",
        (("the school", "that {a} headed"), ("the school of music", "whose first head was {a}")),
    ),
    Route(
        ("astronomer",), "observatory", (("the observatory", "that {a} led"), ("the observatory of {a}", ""))
    ),
    Route(
        ("explorer",), "ship", (("the ship of {a}", ""), ("the ship of {ja}", ""), ("the ship", "of {ja}")), 3
    ),
    Route(("engineer",), "firm", (("the firm", "that {a} founded"), ("the firm of {a}", ""))),
    Route(
        ("footballer",),
        "football",
        (("the club", "for which {a} played"), ("the club", "for which {a} scored {goals} goals")),
    ),
    Route(
        ("aviator",),
        "mountain",
        (("the mountain", "that {a} flew over"), ("the mountain", "that {a} was the first to fly over")),
    ),
    Route(("river",), "mountain", (("the mountain", "on which {a} rises"),), 3),
    Route(("river",), "lake", (("the lake", "into which {a} flows"),), 3),
    Route(("river",), "hills", (("the hills", "where {a} rises"), ("the hills", "in which {a} rises"))),
    Route(("town",), "river", (("the river", "on which {a} lies"),), 6),
    Route(("town",), "lake", (("the lake", "at whose northern end {a} lies"), ("the lake of {a}", ""))),
    Route(("town",), "island", (("the island", "on which {a} lies"), ("the island of the town of {a}", ""))),
    Route(("bridge", "viaduct"), "river", (("the river", "that {a} crosses"),), 4),
    Route(("film",), "island", (("the island", "where {a} was shot"),)),
    Route(("painting",), "gallery", (("the building", "where {a} hangs"),), 3),
    Route(("sculpture",), "museum", (("the building", "at whose entrance {a} stands"),), 3),
    Route(("lighthouse",), "cape", (("the cape", "where {a} stands"),)),
    Route(("steamer",), "company", (("the company", "to which {a} belongs"), ("the company of {a}", "")), 3),
)
MAKERS = {
    "novel": ("novelist", "author"),
    "opera": ("composer", "composer"),
    "film": ("film director", "director"),
    "sculpture": ("sculptor", "sculptor"),
    "painting": ("painter", "painter"),
    "poem": ("poet", "poet"),
    "book": ("botanist", "author"),
    "children's book": ("astronomer", "author"),
}
"""Who makes a work, and what a question calls them."""

# Start kind, link, fact at the end -> questions that leave out what lies between.
SHORT = {
    ("sculpture", "museum", "town"): ("In which town does {a} stand?", "In which town can {ja} be seen?"),
    ("painting", "gallery", "town"): ("In which town does {a} hang?", "In which town can {ja} be seen?"),
}


class Comparison(NamedTuple):
    """Questions about a number in two paragraphs: the answer is the thing with more of it, or with less."""

    kinds: tuple[str, ...]
    fact: str
    more: tuple[str, ...]
    less: tuple[str, ...]


_WHICH_OLDER = (
    "Which {k} is older, {a} or {b}?",
    "Which is older, {a} or {b}?",
    "Which was founded first, {a} or {b}?",
)
COMPARISONS = (
    Comparison(
        (*_PEOPLE, "footballer"),
        "born",
        ("Who was born later, {a} or {b}?", "Who is younger, {a} or {b}?"),
        ("Who was born earlier, {a} or {b}?", "Who was born first, {a} or {b}?"),
    ),
    Comparison(
        _PEOPLE,
        "died",
        ("Who died later, {a} or {b}?",),
        ("Who died earlier, {a} or {b}?", "Who died first, {a} or {b}?"),
    ),
    Comparison(_PEOPLE, "age", ("Who lived longer, {a} or {b}?",), ("Who died younger, {a} or {b}?",)),
    Comparison(
        _WORKS,
        "year",
        ("Which {k} came out later, {a} or {b}?", "Which is newer, {a} or {b}?"),
        (
            "Which {k} came out first, {a} or {b}?",
            "Which {k} is older, {a} or {b}?",
            "Which is older, {a} or {b}?",
        ),
    ),
    Comparison(
        ("hall", "museum", "observatory"),
        "opened",
        ("Which was opened later, {a} or {b}?",),
        ("Which was opened first, {a} or {b}?",),
    ),
    Comparison(
        ("bridge", "viaduct", "ship"),
        "built",
        ("Which was built later, {a} or {b}?",),
        ("Which was built first, {a} or {b}?", "Which is older, {a} or {b}?"),
    ),
    Comparison(("company", "mills"), "started", ("Which {k} is younger, {a} or {b}?",), _WHICH_OLDER),
    Comparison(("football", "chess club"), "started", ("Which {k} is younger, {a} or {b}?",), _WHICH_OLDER),
    Comparison(("conservatory", "college"), "started", ("Which is younger, {a} or {b}?",), _WHICH_OLDER[1:]),
    Comparison(("university",), "founded", ("Which is younger, {a} or {b}?",), _WHICH_OLDER),
    Comparison(
        ("town",),
        "people",
        ("Which had more inhabitants in 1990, {a} or {b}?", "Which is larger, {a} or {b}?"),
        ("Which had fewer inhabitants in 1990, {a} or {b}?", "Which is smaller, {a} or {b}?"),
    ),
    Comparison(("river",), "length", ("Which is longer, {a} or {b}?",), ("Which is shorter, {a} or {b}?",)),
    Comparison(
        ("mountain", "mountain", "pass"),
        "height",
        ("Which is higher, {a} or {b}?",),
        ("Which is lower, {a} or {b}?",),
    ),
    Comparison(("lake",), "depth", ("Which is deeper, {a} or {b}?",), ("Which is less deep, {a} or {b}?",)),
)

# Kinds, the link or fact that both have: questions whether it is the same, and whether it is `{x}` for both.
SAME = (
    (
        _PEOPLE,
        "town",
        (
            "Were {a} and {b} born in the same town?",
            "Did {a} and {b} come from the same town?",
            "Were {a} and {b} born in the same village?",
            "Was {ja} born in the same town as {jb}?",
            "Were {a} and {b} born in the same place?",
        ),
        (
            "Were {a} and {b} both born in {x}?",
            "Did {a} and {b} both come from {x}?",
            "Were both {a} and {b} born in {x}?",
        ),
    ),
    (
        ("cathedral", "hall", "museum", "gallery"),
        "town",
        ("Is {a} in the same town as {b}?", "Are {a} and {b} in the same town?"),
        ("Are {a} and {b} both in {x}?",),
    ),
    (
        ("hall", "museum"),
        "architect",
        ("Were {a} and {b} designed by the same architect?",),
        ("Were both {a} and {b} designed by {x}?",),
    ),
    (
        ("town",),
        "county",
        ("Are {a} and {b} in the same county?", "Do {a} and {b} lie in the same county?"),
        ("Are {a} and {b} both in {x}?",),
    ),
    (
        ("town",),
        "river",
        ("Do {a} and {b} lie on the same river?", "Are {a} and {b} on the same river?"),
        ("Do {a} and {b} both lie on the {x}?",),
    ),
)
