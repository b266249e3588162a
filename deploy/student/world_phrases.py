"""What invented worlds are told in: the kinds of things, how they are named, what their paragraphs say.

In a sentence `{N}` is the thing with its article; other names in braces are facts, or things of the world.
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    group: str
    the: bool
    """Whether the name takes an article in a sentence."""
    names: tuple[str, ...]
    nouns: tuple[str, ...]
    first: tuple[str, ...]
    second: tuple[str, ...]


def _person(job: str, *second: str) -> Kind:
    life = (
        f"{{N}} ({{born}}-{{died}}) was {_article(job)} {job} born in {{town}}.",
        f"{{N}} ({{born}}-{{died}}) was {_article(job)} {job} from {{town}}.",
    )
    return Kind("person", False, ("{first} {last}",), (job,), life[:1] * 3 + life[1:], second)


def _work(noun: str, by: str, *second: str) -> Kind:
    names = (
        "The {quality} {object}",
        "The {object} {place}",
        "{amount} {objects}",
        "{objects} of the {object}",
        "Letters to a {addressee}",
        "The {trade}'s {object}",
        "{quality} {place}",
        "Winter at {stem}{end}",
        "The {object}wright",
    )
    first = f"{{N}} is {_article(noun)} {noun} of {{year}} {by} {{maker}}."
    return Kind("work", False, names, (noun,), (first,), second)


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


KINDS = {
    "town": Kind(
        "town",
        False,
        ("{stem}{end}", "{stem}{end}", "{bird} {spot}", "{stem} {spot}"),
        (
            *("market town", "hill town", "mill town", "spa town", "railway town", "university town"),
            *("fishing port", "seaport", "village", "village", "city"),
        ),
        (
            "{N} is a {noun} on the {river}.",
            "{N} is a {noun} in the county of {county}.",
            "{N} is a {noun} in the county of {county}, founded in {founded} by {founders}.",
            "{N} is a {noun} at the northern end of {lake}.",
            "{N} is the only {noun} on the {island}.",
            "{N} is the largest {noun} of {country} and lies in the county of {county}.",
            "{N} is the capital of {country} and the seat of its parliament.",
            "{N} is a {noun} in the county of {county} where three roads meet.",
        ),
        (
            "It has been known for its {craft} since {since}, and its fair is held on the first {day} "
            "of {month}.",
            "Its town hall is roofed with {roof}.",
            "It had {people} inhabitants in 1990.",
            "It stands where the {river} meets the sea and had {people} inhabitants in 1990.",
            "It had {people} inhabitants in 1990, and every fourth of them was a {trade}.",
            "Its fleet catches {catch}, and its harbour was rebuilt after the storm of {storm}.",
            "It has a {wares} market and {people} inhabitants.",
            "Its weavers are known for {cloth}, and its canal was opened in {canal}.",
            "It is known for its {pride} and its {cake}.",
            "Its warm springs were first described in {springs}.",
            "Most of its people once built {goods}.",
            "It is known for its oysters and for a church with a {spire}.",
        ),
    ),
    "river": Kind(
        "river",
        True,
        ("River {short}",),
        ("river",),
        (
            "{N} rises on {mountain} and flows for {length} into {lake}.",
            "{N} is, at {length}, the longest river of {country}.",
            "{N} flows for {length} into {lake}.",
        ),
        ("It rises in the {hills}.", "Salmon run up it in {month}.", "It is known for its {fish}."),
    ),
    "lake": Kind(
        "lake",
        False,
        ("Lake {short}",),
        ("lake",),
        ("{N} is a lake in the county of {county}.",),
        ("It is {depth} deep and freezes over in most winters.", "It is {depth} deep."),
    ),
    "mountain": Kind(
        "mountain",
        False,
        ("{stem} Tor", "{bird} Tor", "{short} Peak"),
        ("mountain",),
        (
            "{N} is a mountain of {height} and the highest of {country}.",
            "{N} is a mountain of {height} in the county of {county}.",
        ),
        ("It was first climbed in {climbed}.", "It was first climbed in {climbed} by {founders}."),
    ),
    "pass": Kind(
        "pass",
        False,
        ("{stem} Pass", "{short} Pass"),
        ("mountain pass",),
        ("{N} is a mountain pass of {height} in the county of {county}.",),
        ("The road over it is closed from {month} to March.", "It was first crossed by {founders}."),
    ),
    "hills": Kind(
        "hills",
        True,
        ("{short} Fells", "{stem} Hills"),
        ("hills",),
        ("{N} are a range of hills in the county of {county}.",),
        ("Their {earth} gives the streams a {tint} colour.",),
    ),
    "island": Kind(
        "island",
        True,
        ("Isle of {short}",),
        ("island",),
        ("{N} is an island {distance} off the coast of {county}.",),
        ("Its people speak a dialect called {dialect}.", "It is known for its {fish} and its {birds}."),
    ),
    "cape": Kind(
        "cape",
        False,
        ("Cape {short}",),
        ("cape",),
        ("{N} is the {direction} point of {country}.", "{N} is a cape in the county of {county}."),
        ("Its cliffs are the home of the largest colony of {birds} in the country.",),
    ),
    "novelist": _person("novelist", "{she} wrote {number} novels, all of them set by the sea."),
    "painter": _person("painter", "{she} painted orchards and canals and taught drawing for {number} years."),
    "composer": _person(
        "composer", "{she} wrote {number} operas and was the first head of the {conservatory}."
    ),
    "astronomer": _person("astronomer", "{she} discovered {number} comets and led the {observatory}."),
    "explorer": _person("explorer", "{she} charted the southern ice on {her} ship, the {ship}."),
    "engineer": _person("engineer", "{she} built bridges and viaducts and founded the firm {firm}."),
    "architect": _person("architect", "{she} was fond of {taste} and round windows."),
    "botanist": _person("botanist", "{she} described {number} kinds of {plant}."),
    "footballer": Kind(
        "person",
        False,
        ("{first} {last}",),
        ("footballer",),
        ("{N} (born {born}) is a former footballer from {town}.",),
        ("{she} scored {goals} goals, more than any other player of {football}.",),
    ),
    "chess player": _person("chess player", "{she} won the {port} tournament {number} times."),
    "film director": _person(
        "film director", "{she} began as a {trade}.", "{she} began with theatre scenery."
    ),
    "mathematician": _person("mathematician", "{she} taught at the {university} and worked on {puzzles}."),
    "aviator": _person("aviator", "{she} was the first to fly over {mountain}."),
    "politician": _person("politician", "{she} was {office} of {country} from {from} to {until}."),
    "sculptor": _person("sculptor", "{she} worked in {matter} and in blown glass."),
    "poet": _person("poet", "{she} worked as a {trade} until {she} was fifty."),
    "ceramist": _person("ceramist", "{her} glazes are {colour} like {earth}."),
    "physician": _person(
        "physician",
        "{she} was the first woman to practise medicine in {country}.",
        "{she} led a hospital for {number} years.",
    ),
    "novel": _work(
        "novel",
        "by",
        "It tells of a {trade} who counts the {relics}.",
        "It is told in letters by a {trade}.",
        "It is told in letters between two sisters.",
    ),
    "opera": _work("opera", "by", "Its last act is set on a frozen lake.", "It is about a {trade}."),
    "film": _work(
        "film",
        "directed by",
        "It was shot on the {island} within {number} weeks.",
        "It follows a {trade} through one winter.",
        "It follows four students through one snowed-in term.",
    ),
    "sculpture": _work("sculpture", "by", "It stands at the entrance of the {museum}."),
    "painting": _work("painting", "by", "It hangs in the {gallery}.", "It shows a {trade}."),
    "poem": _work("long poem", "by", "Schoolchildren still learn its first forty lines."),
    "book": Kind(
        "work",
        False,
        ("A Flora of the {short} Fells", "A Flora of {stem}{end}", "Songs of the {bird}", "The {short} Book"),
        ("book",),
        ("{N} is a book of {year} by {maker}.",),
        ("It was the first of its kind with coloured plates.",),
    ),
    "children's book": _work(
        "children's book",
        "by",
        "A {trade} sees a comet that nobody else believes in.",
        "A mill owner's son sees a comet.",
    ),
    "hall": Kind(
        "building",
        False,
        ("{last} Hall",),
        ("concert hall",),
        ("{N} is a concert hall in {town}, designed by {architect} and opened in {opened}.",),
        ("It seats {seats} people.",),
    ),
    "bridge": Kind(
        "building",
        False,
        ("{last} Bridge",),
        ("bridge",),
        ("{N} is an iron bridge over the {river} at {town}, built by {engineer} in {built}.",),
        ("It was painted {colour} until 1950.",),
    ),
    "viaduct": Kind(
        "building",
        True,
        ("{bird} Viaduct", "{stem} Viaduct"),
        ("viaduct",),
        ("{N} is a railway viaduct of {arches} arches over the {river}.",),
        ("{engineer} built it in {built}.",),
    ),
    "cathedral": Kind(
        "building",
        False,
        ("{short} Cathedral",),
        ("cathedral",),
        ("{N} is a cathedral in {town}.",),
        ("Its north tower fell in {fell} and was never built again.",),
    ),
    "observatory": Kind(
        "building",
        True,
        ("{object} Lane Observatory", "{stem} Observatory"),
        ("observatory",),
        ("{N} is an observatory in {town}, opened in {opened}.",),
        ("Its largest telescope was a gift of {politician}.", "Its dome is painted {colour}."),
    ),
    "museum": Kind(
        "building",
        True,
        ("Museum of {objects}",),
        ("museum",),
        ("{N} is a museum in {town}, designed by {architect} and opened in {opened}.",),
        ("It has a working model of the harbour.", "It keeps {number} old {relics}."),
    ),
    "gallery": Kind(
        "building",
        True,
        ("Old {quality} Exchange", "Old {object} Exchange"),
        ("gallery",),
        ("{N} is a gallery in {town}.",),
        (
            "Until {traded} the building was used to trade {wares}.",
            "It was used to trade {wares} until {traded}.",
        ),
    ),
    "lighthouse": Kind(
        "building",
        False,
        ("{short} Lighthouse", "{bird} Lighthouse"),
        ("lighthouse",),
        ("{N} is a lighthouse on {cape}, lit for the first time in {lit}.",),
        ("Its lamp can be seen from {seen} away.",),
    ),
    "ship": Kind(
        "ship",
        True,
        ("{quality} {bird}", "{object} {royal}"),
        ("ship",),
        ("{N} was a three-masted ship built in {town} in {built}.",),
        ("It was lost in the ice in {lost}.",),
    ),
    "steamer": Kind(
        "steamer",
        True,
        ("{object} {royal}", "{quality} {royal}"),
        ("paddle steamer",),
        ("{N} is a paddle steamer of {built} that belongs to the {company}.",),
        ("It is named after a character in an opera.", "It is named after a {trade}."),
    ),
    "company": Kind(
        "company",
        True,
        ("{short} Ferry Company", "{stem} Ferry Company"),
        ("company",),
        ("{N} runs ferries between {port} and {town}.",),
        ("It was founded in {started}.",),
    ),
    "firm": Kind(
        "firm",
        False,
        ("{last} & Daughters", "{last} & Sons"),
        ("firm",),
        ("{N} was an engineering firm in {town}, founded in {started}.",),
        ("It was the first in the country to employ women as engineers and closed in {closed}.",),
    ),
    "mills": Kind(
        "company",
        False,
        ("{stem}{end} Mills",),
        ("company",),
        ("{N} was a linen company founded in {started}.",),
        ("It supplied the sails of the {ship}.",),
    ),
    "football": Kind(
        "club",
        False,
        ("{stem}{end} Rovers", "{stem}{end} United"),
        ("club",),
        ("{N} is a football club founded in {started}.",),
        ("Its players wear {colour}.",),
    ),
    "chess club": Kind(
        "club",
        True,
        ("{stem} Chess Club",),
        ("club",),
        ("{N} was founded in {started} and has held a tournament every year since {yearly}.",),
        ("It meets above a {shop}.",),
    ),
    "university": Kind(
        "school",
        True,
        ("University of {stem}{end}",),
        ("university",),
        ("{N} was founded in {founded}.",),
        ("Its library holds {books} books.",),
    ),
    "conservatory": Kind(
        "school",
        True,
        ("{stem}{end} Conservatory",),
        ("school",),
        ("{N} is a school of music founded in {started}.",),
        ("Its students give a free concert every {day}.",),
    ),
    "college": Kind(
        "school",
        True,
        ("{short} Agricultural College",),
        ("college",),
        ("{N} is a college in {town} founded in {started}.",),
        ("It keeps a garden of old kinds of {fruit}.",),
    ),
}
