"""Words and numbers that invented worlds are filled with: parts of names, and what a fact can be."""

from __future__ import annotations

from itertools import permutations

_FISH = ("herring", "mackerel", "cod", "sprats", "crabs", "eels")

WORDS: dict[str, tuple[str, ...]] = {
    # Parts of names.
    "stem": (
        *("Alder", "Bracken", "Corv", "Dun", "Esk", "Fallow", "Graven", "Hollin", "Isen", "Jarrow"),
        *("Kestrel", "Lune", "Harrow", "Birch", "Oster", "Pell"),
    ),
    "end": (
        *("moor", "holt", "enna", "mere", "water", "gate", "port", "by", "haven", "bruck", "side"),
        "wick",
    ),
    "spot": ("Bay", "Cross", "Ford", "Quay", "Green", "Bridge"),
    "short": (
        *("Ollen", "Varrow", "Siddon", "Merrin", "Sorrel", "Lowen", "Wenna", "Arrel", "Brenn", "Dovey"),
        *("Ellis", "Gorran", "Hask", "Ister", "Kellan", "Luddon", "Morrow", "Nevin", "Orrin", "Penna"),
        *("Tessel", "Ulver", "Yarrow", "Zell"),
    ),
    "woman": (
        *("Ada", "Clara", "Edda", "Greta", "Ines", "Lotte", "Nessa", "Petra", "Runa", "Tamsin", "Ruth"),
        *("Alma", "Dora", "Hedda", "Ida", "Mara", "Olga", "Vera"),
    ),
    "man": (
        *("Bertil", "Dorin", "Fenwick", "Hobart", "Joss", "Karel", "Milo", "Osric", "Quentin", "Emil"),
        *("Aldo", "Caspar", "Edwin", "Hugo", "Ivor", "Jonas", "Rolf", "Walter"),
    ),
    "last": (
        *("Quillon", "Osk", "Vennimore", "Halse", "Marrow", "Tarr", "Solbane", "Lind", "Calloway"),
        *("Pemberly", "Dunmore", "Ravensby", "Strand", "Thorne", "Blay", "Wynd", "Ashgrove", "Feldt"),
        *("Orrell", "Dasch", "Amberley", "Brandt", "Corwin", "Danvers", "Elmore", "Fairley", "Garrick"),
        *("Hollis", "Ingram", "Kirkby", "Lorimer", "Mallory", "Norwood", "Prentice", "Rowan", "Selwyn"),
    ),
    "quality": ("Salt", "Blue", "Grey", "Copper", "Stone", "Frozen", "Silver", "Green", "Wooden", "Red"),
    "object": (
        "Clock",
        "Lantern",
        "Heron",
        "Gate",
        "Ferry",
        "Comet",
        "Lighthouse",
        "Orchard",
        "Tide",
        "Bell",
    ),
    "addressee": ("Lighthouse", "Miller", "Comet", "Sailor", "Swan"),
    "objects": ("Clocks", "Lanterns", "Herons", "Gates", "Ferries", "Comets", "Orchards", "Tides", "Ashes"),
    "place": ("Gate", "Orchard", "Mill", "Harbour", "Garden", "Bridge", "House", "Shore"),
    "amount": ("Two", "Three", "Four", "Seven", "Nine", "Ten", "Twelve", "Forty"),
    "trade": (
        *("miller", "sailor", "student", "ferryman", "painter", "weaver", "miner", "teacher", "baker"),
        *("lighthouse keeper", "gardener", "shepherd"),
    ),
    "bird": ("Kestrel", "Petrel", "Heron", "Puffin", "Gull", "Raven", "Swan", "Crane"),
    "royal": ("Queen", "King", "Star", "Prince"),
    "land": ("Orren", "Tessen", "Vellen", "Harl", "Brann", "Skarn", "Osmer"),
    "ending": ("land", "mark", "ia", "shire"),
    # What a fact can be.
    "county": (
        *("Eskmoor", "Tarnside", "Lowen", "Ravenshire", "Marlside", "Ostermoor", "Dunshire", "Wickdale"),
        *("Thornside", "Birchmoor"),
    ),
    "founders": ("slate miners", "salt traders", "monks", "shepherds", "sailors", "two sisters"),
    "craft": ("glassworks", "lace", "cider", "pottery", "bells", "clocks"),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "month": ("December", "March", "April", "May", "June", "July", "August", "September", "October"),
    "roof": ("green slate", "red tiles", "copper", "grey slate", "straw", "blue tiles"),
    "catch": tuple(" and ".join(pair) for pair in permutations(_FISH, 2)),
    "fish": (*_FISH, "salmon", "trout"),
    "wares": ("wool", "salt", "cheese", "horse", "linen", "tea", "fish"),
    "cloth": ("blue linen", "grey wool", "white lace", "red silk", "green felt"),
    "pride": ("chess tournament", "flower show", "boat race", "harvest fair", "brass band"),
    "cake": ("plum cake", "apple bread", "ginger beer", "honey cake", "white cheese"),
    "goods": ("steam engines", "fishing boats", "pianos", "bicycles", "church organs", "wooden toys"),
    "spire": ("wooden spire", "crooked tower", "copper dome", "round tower"),
    "earth": ("peat", "slate", "clay", "moss", "iron", "chalk"),
    "colour": ("brown", "red", "green", "grey", "orange", "blue", "white", "yellow"),
    "tint": ("brown", "red", "green", "grey", "white", "yellow"),
    "dialect": ("Merrish", "Ollish", "Tarnish", "Varran", "Sennish", "Harlish", "Cape Norran"),
    "birds": ("puffins", "gulls", "herons", "terns", "swans", "owls"),
    "direction": ("westernmost", "northernmost", "easternmost", "southernmost"),
    "number": (
        *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
        *("twenty", "thirty", "forty", "fifty", "sixty"),
    ),
    "plant": ("moss", "fern", "grass", "rose", "mushroom", "lichen"),
    "puzzles": ("knots", "curves", "primes", "tides", "maps"),
    "office": ("prime minister", "foreign minister", "president", "finance minister"),
    "matter": ("bronze", "marble", "oak", "iron", "clay"),
    "shop": ("bakery", "bookshop", "post office", "tea room", "brewery"),
    "books": ("two million", "one million", "half a million", "three million", "90,000", "400,000"),
    "taste": ("copper roofs", "tall towers", "white walls", "green doors", "wooden stairs"),
    "relics": ("clocks", "lanterns", "bells", "boats", "maps"),
    "fruit": ("apples", "pears", "plums", "cherries", "roses"),
}

NUMBERS: dict[str, range] = {
    # Years.
    "founded": range(1102, 1690),
    "since": range(1602, 1910),
    "storm": range(1780, 1940),
    "canal": range(1740, 1880),
    "springs": range(1500, 1760),
    "climbed": range(1770, 1930),
    "born": range(1790, 1930),
    "opened": range(1820, 1970),
    "built": range(1810, 1940),
    "fell": range(1500, 1900),
    "traded": range(1700, 1900),
    "lit": range(1750, 1930),
    "started": range(1750, 1960),
    # Sizes and counts.
    "people": range(1_100, 99_000, 100),
    "length": range(41, 620),
    "depth": range(12, 240),
    "height": range(510, 2_900),
    "distance": range(4, 90),
    "goals": range(60, 400),
    "seats": range(300, 2_800, 100),
    "arches": range(8, 44),
    "seen": range(12, 60),
}
UNITS = {
    "people": "",
    "goals": "",
    "seats": "",
    "arches": "",
    "seen": " kilometres",
    "length": " kilometres",
    "distance": " kilometres",
    "depth": " metres",
    "height": " metres",
}
"""What follows a size or count, which has a comma from one thousand on; the other numbers are years."""
