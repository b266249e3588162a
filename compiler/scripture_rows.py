"""Examples for `scripture_qa`, made from its tables: every answer can be looked up in them.

The same tables, counts and seed give the same rows. A verse is asked about in one split only.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

from compiler.errors import DataTooSmall
from compiler.scripture_deeds import PERSONS, read_deed
from programs.program import SPLITS, Split
from programs.references import Reference, read_reference
from programs.scripture import Tables, Verse, Word
from programs.scripture_metrics import bare

SHARES: Mapping[Split, int] = {"train": 6, "dev": 2, "test": 2}
NEIGHBOURS = 2  # verses beside the one that is asked about
LEAST_WORDS = 3  # of a quotation that is to be found
_WORD = re.compile(r"[A-Za-z]+")
_ENDINGS = ("ing", "eth", "ed", "es", "s", "e")

Row = dict[str, Any]


class Target(NamedTuple):
    """A word of a verse's text and the only word of the original that it can stand for."""

    written: str
    word: Word


@dataclass(frozen=True)
class Counts:
    """How many rows: single questions, and conversations of which the last turn is the row."""

    examples: int
    conversation_pairs: int = 0


def generate_rows(tables: Tables, counts: Counts, seed: int) -> dict[Split, list[Row]]:
    """Rows of each split, 60 to 20 to 20.

    Raises:
        DataTooSmall: the tables do not hold so many different questions; says how many.
    """
    by_split: dict[Split, list[Verse]] = {split: [] for split in SPLITS}
    for verse in tables:
        by_split[share_of(verse.ref)].append(verse)
    rows: dict[Split, list[Row]] = {}
    for split, verses in by_split.items():
        rng = random.Random(f"scripture_qa {split} {seed}")
        rng.shuffle(verses)
        maker = _Maker(tables, verses, rng)
        rows[split] = maker.take(SINGLE, portion(counts.examples, split), split)
        rows[split] += maker.take(FOLLOW_UPS, portion(counts.conversation_pairs, split), split)
        rng.shuffle(rows[split])
    return rows


def share_of(ref: str) -> Split:
    """The split in which a verse is asked about: the same for all tables and seeds."""
    place = int(hashlib.sha256(ref.encode()).hexdigest(), 16) % sum(SHARES.values())
    return next(split for split in SPLITS if (place := place - SHARES[split]) < 0)


def portion(count: int, split: Split) -> int:
    """That split's part of so many rows; what is left over trains."""
    part = {name: count * share // sum(SHARES.values()) for name, share in SHARES.items()}
    return part[split] + (count - sum(part.values()) if split == "train" else 0)


def targets(tables: Tables, verse: Verse) -> list[Target]:
    """The words of a verse that can be asked about: once in its text, and glossing one original word."""
    written = _WORD.findall(verse.text)
    stems = [_stem(word) for word in written]
    glossed: dict[str, list[Word]] = {}
    for word in tables.words_of(verse):
        glossed.setdefault(_stem(_head(word.gloss)), []).append(word)
    return [
        Target(text, glossed[stem][0])
        for text, stem in zip(written, stems, strict=True)
        if stem and stems.count(stem) == 1 and len(glossed.get(stem, ())) == 1
    ]


@dataclass(frozen=True)
class Material:
    """What a question is made of."""

    tables: Tables
    verse: Verse
    context: Sequence[Verse]
    target: Target
    rng: random.Random
    deed: str = ""

    def row(self, kind: str, question: str, reasoning: str, answer: str, **more: Any) -> Row:
        return {
            "type": kind,
            "context": "\n\n".join(map(self.tables.passage, self.context)),
            "history": [],
            "question": question,
            "reasoning": reasoning,
            "answer": answer,
            "key_terms": [],
            "references": [],
            "ref": self.verse.ref,
            **more,
        }

    @property
    def listed(self) -> str:
        return f"{self.verse.ref} lists {self.target.word}."

    @property
    def meanings(self) -> list[str]:
        """What may be answered when the target's meaning is asked."""
        written, word = self.target
        return list(dict.fromkeys([word.gloss, _head(word.gloss), written.lower()]))


Make = Callable[[Material], Row | None]


def strongs_of_word(made: Material) -> Row:
    written, word = made.target
    question = f'In {made.verse.ref}, which Strong\'s number lies behind the word "{written}"?'
    return made.row("strongs_of_word", question, made.listed, _named(word), key_terms=[key_term(word)])


def original_word(made: Material) -> Row:
    written, word = made.target
    tongue = "Hebrew" if word.id[0] == "H" else "Greek"
    question = f'What is the {tongue} word for "{written}" in {made.verse.ref}?'
    return made.row("original_word", question, made.listed, _named(word), key_terms=[key_term(word)])


def gloss_of_strongs(made: Material) -> Row:
    word = made.target.word
    question = f"What does Strong's {word.id} mean as it is used in {made.verse.ref}?"
    return made.row("gloss_of_strongs", question, made.listed, word.gloss, answers=made.meanings)


def find_verse(made: Material) -> Row | None:
    words = made.verse.text.split()
    if len(words) < LEAST_WORDS:
        return None
    length = made.rng.randint(LEAST_WORDS, min(6, len(words)))
    at = made.rng.randrange(len(words) - length + 1)
    quoted = " ".join(words[at : at + length]).strip(",;:.?!")
    if not made.tables.only_once(quoted):
        return None
    question = f'Which verse contains the words "{quoted}"?'
    reasoning = f"The words stand in {made.verse.ref}."
    return made.row("find_verse", question, reasoning, made.verse.ref, references=[made.verse.ref])


def cross_references(made: Material) -> Row | None:
    word = made.target.word
    shared = [verse.ref for verse in made.context if word.id in verse.ids]
    if len(shared) < 2:
        return None
    question = f"Which of these verses have {word.id} ({word.translit})?"
    answer = "; ".join(shared)
    return made.row(
        "cross_references",
        question,
        f"{word.id} is listed under {' and '.join(shared)}.",
        answer,
        references=shared,
    )


def follow_up(made: Material) -> Row:
    written, word = made.target
    question = f'And which original-language word is "{written}" there? Give the Strong\'s number.'
    said = [{"question": f"What does {made.verse.ref} say?", "answer": made.verse.text}]
    return made.row(
        "follow_up", question, made.listed, _named(word), history=said, key_terms=[key_term(word)]
    )


def second_follow_up(made: Material) -> Row:
    first = follow_up(made)
    word = made.target.word
    said = [*first["history"], {"question": first["question"], "answer": first["answer"]}]
    question = "And what does it mean?"
    return made.row(
        "second_follow_up", question, made.listed, word.gloss, history=said, answers=made.meanings
    )


def who(made: Material) -> Row | None:
    about = _of_a_deed(made)
    if about is None:
        return None
    word = about.target.word
    question = f"Who {about.deed} in {made.verse.ref}?"
    return about.row("who", question, about.listed, _named(word), key_terms=[key_term(word)])


def meaning_of_who(made: Material) -> Row | None:
    about = _of_a_deed(made)
    if about is None:
        return None
    word = about.target.word
    said = [{"question": f"Who {about.deed} in {made.verse.ref}?", "answer": _named(word)}]
    question = "What does that word mean here?"
    return about.row(
        "meaning_of_who", question, about.listed, word.gloss, history=said, answers=about.meanings
    )


def _of_a_deed(made: Material) -> Material | None:
    """The same about the word for a person of whom the verse says something, with what it says."""
    persons = {
        one.written: one
        for one in targets(made.tables, made.verse)
        if one.word.gloss in PERSONS or _is_name(one)
    }
    deed = read_deed(made.verse.text, persons)
    return None if deed is None else replace(made, target=persons[deed.person], deed=deed.clause)


SINGLE: tuple[Make, ...] = (
    *(strongs_of_word, original_word, gloss_of_strongs),
    *(find_verse, cross_references, who),
)
FOLLOW_UPS: tuple[Make, ...] = (follow_up, second_follow_up, meaning_of_who)


class _Maker:
    """Draws rows from the verses of one split."""

    def __init__(self, tables: Tables, verses: Sequence[Verse], rng: random.Random) -> None:
        self._tables, self._verses, self._rng = tables, verses, rng
        self._having: dict[str, list[Verse]] = {}
        for verse in verses:
            for id in verse.ids:
                self._having.setdefault(id, []).append(verse)

    def take(self, kinds: Sequence[Make], count: int, split: Split) -> list[Row]:
        """So many different rows, the kinds in turn as long as each finds new ones."""
        found: dict[str, Row] = {}
        size = len(self._verses)
        # Each kind begins elsewhere, so that a verse is asked about in one way before it is in others.
        walks = {kind: self._new(kind, at * size // len(kinds), found) for at, kind in enumerate(kinds)}
        while walks and len(found) < count:
            for kind in list(walks):
                if not next(walks[kind], False):
                    del walks[kind]
                if len(found) == count:
                    break
        if len(found) < count:
            raise DataTooSmall(
                f"the tables ({len(self._tables)} verses) hold {len(found):,} different questions of the "
                f"{count:,} wanted for {split}: ask for fewer, or name larger tables with --tables"
            )
        return list(found.values())

    def _new(self, kind: Make, first: int, found: dict[str, Row]) -> Iterator[bool]:
        """Adds a row of that kind at each step; ends where many in turn gave none."""
        barren = 0
        # Twenty rounds of few verses, which have few words to ask about; little more than two of many.
        most = min(20 * len(self._verses), 2 * len(self._verses) + 5_000)
        while barren < most:
            row = self._row(self._verses[first % len(self._verses)], kind)
            first += 1
            key = "" if row is None else f"{row['question']} {row['history']}"
            if row is None or key in found:
                barren += 1
                continue
            found[key] = row
            barren = 0
            yield True

    def _row(self, verse: Verse, kind: Make) -> Row | None:
        known = targets(self._tables, verse)
        if not known:
            return None
        target = self._rng.choice(known)
        kin = [other for other in self._having[target.word.id] if other is not verse]
        others = self._rng.sample(kin, min(1, len(kin))) if kind is cross_references else []
        while len(others) < min(NEIGHBOURS, len(self._verses) - 1):
            other = self._rng.choice(self._verses)
            if other is not verse and other not in others:
                others.append(other)
        context = sorted([verse, *others], key=lambda one: _place(one.ref))
        return kind(Material(self._tables, verse, context, target, self._rng))


def key_term(word: Word) -> str:
    """A word in all the forms in which an answer may name it."""
    return "/".join(dict.fromkeys([_plain(word.translit), word.id, word.lemma.split(",")[0]]))


def _named(word: Word) -> str:
    return f"{word.id} {_plain(word.translit)}"


def _plain(translit: str) -> str:
    return translit.replace(".", "")


@lru_cache(maxsize=50_000)
def _head(gloss: str) -> str:
    """The first word of a gloss that says something: of `to love`, `love`; of `way: conduct`, `way`."""
    words = _WORD.findall(gloss.partition(":")[0])
    return next((word for word in words if word.lower() not in ("to", "be", "a", "the")), "")


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    plain = bare(word)
    ending = next((end for end in _ENDINGS if plain.endswith(end) and len(plain) - len(end) > 2), "")
    return plain.removesuffix(ending) if ending else plain


def _is_name(one: Target) -> bool:
    """Written with a capital in the text and in the gloss: at the start of a verse any word has one."""
    gloss = one.word.gloss
    return len(gloss) > 1 and gloss[0].isupper() and one.written.lower() == gloss.lower() != one.written


def _place(ref: str) -> Reference:
    found = read_reference(ref)
    assert found is not None, "the tables were read by their references"
    return found
