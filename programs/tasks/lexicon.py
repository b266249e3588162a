"""The words of the bundled tasks, and the rule that keeps their splits apart.

Knows nothing of any one task. The bundled student's tokenizer gives each of these words a piece of its own.
"""

from __future__ import annotations

import hashlib
from typing import Literal

Share = Literal["train", "dev", "test", "corpus"]

WOMEN = ("Anna", "Beth", "Carla", "Dora", "Emma", "Fiona", "Grace", "Helen", "Iris", "Julia", "Karen", "Lena")
MEN = ("Adam", "Brian", "Carl", "David", "Erik", "Frank", "George", "Henry", "Ivan", "James", "Kevin", "Liam")
NAMES = WOMEN + MEN
GOODS = (
    "lamps", "chairs", "boxes", "plates", "cups", "books", "pens", "clocks", "shirts", "bags",
    "candles", "bowls", "tables", "coats", "hats", "marbles", "apples", "stamps", "coins", "shells",
)  # fmt: skip
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
THINGS = ("key", "map", "ladder", "drum", "kite", "phone", "spade", "violin")
PLACES = ("kitchen", "garden", "cellar", "attic", "garage", "office", "hall", "barn", "shed", "tower")
FOODS = ("bread", "cheese", "soup", "rice", "fish", "pears", "honey", "beans", "salad", "cake")
COLOURS = ("red", "blue", "green", "white", "black", "yellow", "brown", "purple", "grey", "orange")


def pronoun(name: str) -> str:
    return "she" if name in WOMEN else "he"


def share_of(text: str) -> Share:
    """Which share of all possible examples this one belongs to, by its content alone.

    One tenth each is kept for test, dev and train; the student's own training text is drawn from the rest.
    """
    digit = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % 10
    shares: tuple[Share, ...] = ("test", "dev", "train")
    return shares[digit] if digit < len(shares) else "corpus"
