"""Who does what in a verse, read from its words alone, for questions that begin with "Who".

Careful rather than complete: a verse of which a question might read badly has no deed.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

PERSONS = frozenset(("angel", "devil", "king", "lord", "priest", "prophet", "serpent", "woman"))
"""Common nouns that can be asked about; of other glosses, those with a capital."""

_LONGEST = 12  # words of a clause
# A subject stands at the start of a clause: after nothing, a stop, or one of these.
_OPENING = (
    r"(?:^|[,;:] |^(?:At|In) the (?:start|beginning) )"
    r"(?:(?:And|Again|But|For|Now|So|Then|Thus|Therefore|Yet) )?(?:(?:and|but|for|so|then|yet) )?"
)
_PAST = """
anointed answered appeared appointed arose asked ate baptised begat believed blessed bowed brake brought
built buried called came charged chose clave commanded commended created cried cursed delivered departed
destroyed died divided drew dwelt entered established fell fled formed forsook fought found gathered gave
hardened healed heard helped honoured judged kept kissed knew laid led left lifted lived looked loved made
met mourned moved offered opened passed planned planted poured praised prayed prepared prophesied
prospered purged pursued raised read rebuked rejoiced remembered repented rested returned rose sat saved
saw sent served set shewed shone shut slept slew smote sought spake spoke stood stretched strengthened
struck took taught thanked thought told took trembled trusted turned visited waited walked wanted washed
went wept worshipped wrestled wrote
"""
_PRESENT = (
    "gives goes keeps knows looks loves makes saves shows giveth keepeth knoweth looketh loveth maketh saveth"
)
# Verbs that say something by themselves, and words with which no clause ends.
_INTRANSITIVE = """
answered arose cried departed died fled mourned prayed rejoiced rested slept spake spoke wept
"""
_JOINING = """
a also an and as at because but by for from he her his if in into is it my of on or our she so that the
their them then thence there they thou thy to unto upon was we when which who with you your
"""
_DEEDS = frozenset((_PAST + _PRESENT).split())
# Said of persons only where what follows describes them.
_BEING = re.compile(r"(?:is|was) (?:a|my|our|the|merciful|righteous|good|gracious|great|holy)\b|will \w+ \w+")
_ALONE = frozenset(_INTRANSITIVE.split())
_DANGLING = frozenset(_JOINING.split())
# Too little: `Thomas called Didymus`, `God told Moses: ...`, `Aaron took as Moses commanded`.
_LITTLE = re.compile(r"(?:called|told) \S+$|\w+ (?:after|as|because|when)\b")
_SAID = re.compile(r"^said (?=unto |to )")


class Deed(NamedTuple):
    """A person of a verse, as written there, and the rest of the clause after it."""

    person: str
    clause: str


def read_deed(text: str, persons: Collection[str]) -> Deed | None:
    """The first of these persons of whom the verse says something that can be asked."""
    for person in persons:
        found = _clause_of(person).search(text) if person in text else None
        clause = _asked(found["clause"].strip()) if found else None
        if clause is not None:
            return Deed(person, clause)
    return None


@lru_cache(maxsize=4096)
def _clause_of(person: str) -> re.Pattern[str]:
    return re.compile(rf"{_OPENING}(?:[Tt]he )?{re.escape(person)} (?P<clause>[^,;:.?!()]+)[,;:.?!]")


def _asked(clause: str) -> str | None:
    """The clause as a question has it, or nothing if it does not stand by itself."""
    spoken = _SAID.sub("spoke ", clause).removesuffix(" and said")
    words = spoken.split()
    if len(words) > _LONGEST or words[-1].lower() in _DANGLING or "who" in words or "which" in words:
        return None
    if _LITTLE.match(spoken):
        return None
    if len(words) == 1:
        return spoken if spoken in _ALONE else None
    known = words[0] in _DEEDS or _BEING.match(spoken) or re.match(r"said (?:that|it) \w", spoken)
    return spoken if known else None
