"""Chats of `scripture_qa` for the student's training text.

Verses are drawn from sentences of our own and from the sample's training share; no verse of another share is
shown. Without demonstrations most replies name a word plainly; demonstrations and earlier answers show the
label's form.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from compiler import scripture_rows
from compiler.scripture_rows import Material, Row, Target, share_of, targets
from deploy.student.prompts import Prompts, Turn
from programs.books import BOOKS, ONE_CHAPTER, Book
from programs.references import read_reference
from programs.scripture import SAMPLE, Tables, Verse, Word, open_tables
from programs.tasks import scripture_qa

INSTRUCTIONS = (
    scripture_qa.INSTRUCTION,
    "Answer from the verses and their Strong's lists.",
    "Find the answer in the context.",
    "Use the verses of the context to answer the question.",
)
# Glosses of the sample by what they can be in a sentence; either language has a share of each.
_GLOSSES = {
    "WHO": "God LORD lord Abraham Abram Moses Noah Elijah Jonah Immanuel David Jesus Christ Peter",
    "PERSON": """angel woman father mother man brother son child servant shepherd nation people
        neighbour teacher ruler prince friend saviour redeemer witness firstborn""",
    "FOE": "devil enemy fool serpent sinner",
    "PLACE": "ground earth house mountain sea valley heaven city kingdom world fortress rock refuge path way",
    "THING": """stone wing light sign fire flesh sacrifice rose spear sword word flame bread cloud dust tree
        fruit lamp sandal rod shield lamb lily bow bush storm ladder chariot grass flower eye hand foot mouth
        face heart blood fish moon star stream water voice sheep eagle gift door armour branch vine body
        scripture gospel covenant command dream day name spirit soul mind breath work tear lion army""",
    "QUALITY": """faith truth wisdom kindness mercy grace joy peace hope love power strength glory justice
        righteousness knowledge insight life anger trouble darkness death patience fear pride guilt rescue
        help""",
    "KIND": """great new strong clean good holy merciful gracious righteous small soft happy seventh
        old poor faithful kind sharp useful first last""",
    "EVIL": "deceitful wicked poor sharp",
}
# What is done to somebody or something, what is done to somebody, and what is simply done; with its past.
DONE = {
    "make": "made",
    "form": "formed",
    "seek": "sought",
    "see": "saw",
    "find": "found",
    "keep": "kept",
    "give": "gave",
    "bless": "blessed",
    "pour": "poured",
    "love": "loved",
    "choose": "chose",
    "know": "knew",
    "leave": "left",
    "want": "wanted",
    "judge": "judged",
    "remember": "remembered",
}
DONE_TO = {
    "help": "helped",
    "heal": "healed",
    "save": "saved",
    "trust": "trusted",
    "honour": "honoured",
    "praise": "praised",
    "call": "called",
    "hear": "heard",
    "serve": "served",
    "judge": "judged",
    "love": "loved",
    "bless": "blessed",
    "ask": "asked",
    "thank": "thanked",
    "forgive": "forgave",
}
SIMPLY = {
    "speak": "spoke",
    "walk": "walked",
    "live": "lived",
    "rest": "rested",
    "pray": "prayed",
    "wait": "waited",
    "stand": "stood",
    "die": "died",
    "listen": "listened",
    "shine": "shone",
}
# Sentences; capitals stand for words of those kinds, whatever else is written is no word of the list.
SENTENCES = (
    "WHO DONE the THING and the THING.",
    "WHO DONE the THING of the PLACE.",
    "At the start WHO DONE the KIND THING.",
    "WHO DONE a KIND THING in the PLACE, and there was QUALITY.",
    "WHO DONE the THINGS and DONE the PLACE.",
    "Then WHO DONE_TO the PERSON with QUALITY.",
    "WHO DONE_TO the KIND PERSON; the PERSON SIMPLY.",
    "WHO DONE_TO his PERSONS in the PLACE.",
    "So WHO SIMPLY over the PLACE, and the THING was KIND.",
    "WHO SIMPLY, and the THING was in the PLACE.",
    "WHO SIMPLY with the PERSON from the PLACE.",
    "WHO gave the PERSON a THING, a THING and QUALITY.",
    "WHO gave QUALITY to the KIND PERSON.",
    "WHO sent a KIND PERSON to the PLACE.",
    "WHO told the PERSON that the THING is KIND.",
    "WHO took the THING from the PLACE and SIMPLY.",
    "WHO is my THING and my QUALITY.",
    "WHO is a KIND PERSON; his QUALITY is KIND.",
    "WHO is KIND and KIND, and KIND in QUALITY and QUALITY.",
    "WHO will DO the THING of the PERSON.",
    "WHO will DO_TO the KIND PERSONS.",
    "In the PLACE WHO DONE the THING.",
    "The PERSON DONE the THING, but WHO DONE the PLACE.",
    "The THING of the PLACE is KIND, and the PERSON will DO it.",
    "The QUALITY of WHO is like a THING in the PLACE.",
    "The spirit of WHO moved over the PLACES.",
    "The THING on the PLACE is a THING, and the THING will go.",
    "The PERSON of WHO came in a THING of QUALITY.",
    "Every PERSON who DOES the THING will have QUALITY.",
    "DO the THING and the THING of WHO.",
    "DO_TO your PERSON and your PERSON with QUALITY.",
    "Do not DO the KIND THING, for WHO is with you.",
    "Be KIND: WHO DOES the THING.",
    "Your THING is a THING for my THING and a THING on my PLACE.",
    "Happy is the PERSON who does not DO the THING.",
    "QUALITY and QUALITY follow the PERSON in the PLACE of WHO.",
    "QUALITY comes from WHO, and QUALITY from the PERSON.",
    "By QUALITY you are KIND through QUALITY; it is a THING of WHO.",
    "I am the THING of QUALITY, says WHO.",
    "I give you a KIND THING and a KIND THING.",
    "I will DO the THING and DO_TO the PERSON.",
    "You are the THING of the PLACE; a THING on a PLACE is KIND.",
    "There is no QUALITY like the QUALITY of WHO.",
    "Then WHO judged the EVIL FOE in the PLACE.",
    "WHO saw the FOE and took the KIND THING.",
    "The FOE of the PERSON fled, and the EVIL FOE with him.",
    "As a PERSON DOES the THING, so WHO DOES the PERSON.",
)
_PASTS: Mapping[str, Mapping[str, str]] = {"DONE": DONE, "DONE_TO": DONE_TO, "SIMPLY": SIMPLY}
_KINDS: Mapping[str, Sequence[str]] = {
    **{kind: glosses.split() for kind, glosses in _GLOSSES.items()},
    **{kind: [*verbs] for kind, verbs in _PASTS.items()},
}
_SYLLABLES = "ba cha da el ga ha im ka la ma na or pa qa ra sha ta uv ya za bet hod lem mon ser tan"
_CHAPTERS, _VERSES = 30, 40
NO_VERSE = "No verse was given."

Make = Callable[[Material], Row | None]


def what_it_says(made: Material) -> Row:
    """The question with which most talks begin; a reader writes `Psalm 23:1`."""
    ref = made.verse.ref.replace("Psalms ", made.rng.choice(("Psalms ", "Psalm ")))
    return made.row("what_it_says", f"What does {ref} say?", f"{made.verse.ref} is given.", made.verse.text)


KINDS_OF_QUESTION: Mapping[Make, float] = {
    scripture_rows.strongs_of_word: 4,
    scripture_rows.original_word: 4,
    scripture_rows.gloss_of_strongs: 3,
    scripture_rows.find_verse: 3,
    scripture_rows.cross_references: 3,
    scripture_rows.who: 5,
    scripture_rows.follow_up: 3,
    scripture_rows.second_follow_up: 3,
    scripture_rows.meaning_of_who: 3,
    what_it_says: 2,
}


class Verses:
    """Draws chats about verses."""

    def __init__(self) -> None:
        self.prompts = Prompts(scripture_qa.program.make_module())
        tables = open_tables(SAMPLE)
        self._taken = {verse.ref for verse in tables}
        shown = [(verse, _place(verse)) for verse in tables if share_of(verse.ref) == "train" and verse.ids]
        self._real = {tongue: [one for one in shown if one[0].ids[0][0] == tongue] for tongue in "HG"}
        books = [book for book in BOOKS if book.osis not in ONE_CHAPTER]
        self._books = {tongue: [book for book in books if book.hebrew == (tongue == "H")] for tongue in "HG"}
        self._sample, self._words = tables, tables.words
        self._syllables = _SYLLABLES.split()
        self._ids = {tongue: [id for id in tables.words if id[0] == tongue] for tongue in "HG"}
        self._kinds = {
            (tongue, kind): [w for w in tables.words.values() if w.id[0] == tongue and w.gloss in glosses]
            for tongue in "HG"
            for kind, glosses in _KINDS.items()
        }

    def chat(self, rng: random.Random, most: int) -> list[Turn]:
        count = 0 if rng.random() < 0.2 else rng.randint(min(1, most), min(3, most))
        turns = [self.prompts.system(rng.choice(INSTRUCTIONS[: 1 if rng.random() < 0.75 else None]))]
        unseen = rng.random() < 0.25
        long = rng.random() < 0.06
        for _ in range(min(4, most) if long else count):
            size = 3 if long else rng.choice((1, 1, 2))
            turns += self._turns(self._row(rng, unseen, size), plain=False, asked=False)
        plain = len(turns) == 1 and rng.random() < 0.75
        if rng.random() < 0.06:
            return turns + self._turns(self._lacking(rng), plain, asked=True)
        longest = (1, 2, 3, 3) if count < 3 else (1, 2, 3)
        return turns + self._turns(self._row(rng, unseen, rng.choice(longest)), plain, asked=True)

    def _turns(self, row: Row, plain: bool, asked: bool) -> list[Turn]:
        turns: list[Turn] = []
        for said in row["history"]:
            turns += self.prompts.turn(
                {"question": said["question"]}, {"answer": said["answer"]}, learned=False
            )
            # An answer in the label's form shows the form.
            plain = plain and said["answer"][:1] not in ("H", "G")
        answer = row["answer"]
        if plain and row["key_terms"]:
            answer = answer.partition(" ")[2]
        inputs = {"context": row["context"], "question": row["question"]}
        return turns + self.prompts.turn(inputs, {"reasoning": row["reasoning"], "answer": answer}, asked)

    def _row(self, rng: random.Random, unseen: bool, most: int) -> Row:
        """A question on so many verses; for what is shared by verses, on two at least."""
        (kind,) = rng.choices([*KINDS_OF_QUESTION], [*KINDS_OF_QUESTION.values()])
        most = max(most, 2) if kind is scripture_rows.cross_references else most
        while True:
            tables = self._tables(rng, unseen, most)
            context = list(tables)
            for verse in rng.sample(context, len(context)):
                if known := targets(tables, verse):
                    target = _target(rng, kind, known, context)
                    row = kind(Material(tables, verse, context, target, rng))
                    if row is not None:
                        return row

    def _lacking(self, rng: random.Random) -> Row:
        """A question whose context holds no verse, or says that it has not the one asked for."""
        ref = self._ref(rng, rng.choice("HG"))[0]
        tables = self._tables(rng, False, 1)
        (verse,) = tables
        made = Material(tables, verse, [], Target("light", Word("", "", "", "")), rng)
        asked = rng.choice(
            (
                what_it_says(replace(made, verse=Verse(ref, "", ())))["question"],
                f'What is the original word for "light" in {ref}?',
                f"Who spoke in {ref}?",
            )
        )
        if rng.random() < 0.6:
            told = rng.choice((self._sample, self._sample, tables)).absent(ref)
            return made.row("lacking", asked, f"{ref} is not given.", told) | {"context": told}
        asked = rng.choice(
            ("Who spoke?", 'What is the Hebrew word for "light"?', "What does that verse say?")
        )
        return made.row("lacking", asked, NO_VERSE, NO_VERSE)

    def _tables(self, rng: random.Random, unseen: bool, count: int) -> Tables:
        """So many verses, of our sentences or of the sample's, which share a word now and then."""
        tongue = rng.choice("HG")
        words: dict[str, Word] = {}
        renamed: dict[str, Word] = {}
        verses: dict[tuple[int, int, int], Verse] = {}
        last: Verse | None = None
        while len(verses) < count:
            if rng.random() < 0.3:
                tongue = rng.choice("HG")
            if rng.random() < 0.25:
                verse, place = rng.choice(self._real[tongue])
            else:
                ref, place = self._ref(rng, tongue)
                verse = self._verse(rng, ref, tongue, last)
            last = verse
            listed = [self._words[id] for id in verse.ids]
            if unseen:
                listed = [self._renamed(rng, word, renamed) for word in listed]
                verse = Verse(verse.ref, verse.text, tuple(word.id for word in listed))
            words |= {word.id: word for word in listed}
            verses[place] = verse
        return Tables(verses, words, "drawn")

    def _ref(self, rng: random.Random, tongue: str) -> tuple[str, tuple[int, int, int]]:
        """A verse that the sample does not have, and its place."""
        while True:
            book: Book = rng.choice(self._books[tongue])
            chapter, number = rng.randint(1, _CHAPTERS), rng.randint(1, _VERSES)
            if (ref := f"{book.name} {chapter}:{number}") not in self._taken:
                return ref, (book.position, chapter, number)

    def _verse(self, rng: random.Random, ref: str, tongue: str, last: Verse | None) -> Verse:
        """A sentence filled with words, of which the list lacks one now and then."""
        said: list[str] = []
        ids: list[str] = []
        again = [id for id in (last.ids if last else ()) if id[0] == tongue and rng.random() < 0.3]
        for piece in rng.choice(SENTENCES).split():
            slot, end = piece.rstrip(",;:."), piece[len(piece.rstrip(",;:.")) :]
            if not slot.isupper() or slot == "I":
                said.append(piece)
                continue
            kind, form = _slot(slot)
            choice = self._kinds[tongue, kind]
            word = rng.choice([w for w in choice if w.id in again] or choice)
            said.append(_written(word.gloss, form, kind) + end)
            if rng.random() < 0.92:
                ids.append(word.id)
        text = " ".join(said)
        return Verse(ref, text[0].upper() + text[1:], tuple(dict.fromkeys(ids)))

    def _renamed(self, rng: random.Random, word: Word, renamed: dict[str, Word]) -> Word:
        """A word that means the same and is made up in all else, so that it can only be copied."""
        if word.id not in renamed:
            tongue, most = word.id[0], 8674 if word.id[0] == "H" else 5624
            lemma = self._words[rng.choice(self._ids[tongue])].lemma
            translit = "".join(rng.choices(self._syllables, k=rng.randint(2, 3)))
            renamed[word.id] = Word(f"{tongue}{rng.randint(1, most):04}", lemma, translit, word.gloss)
        return renamed[word.id]


def _target(rng: random.Random, kind: Make, known: Sequence[Target], context: Sequence[Verse]) -> Target:
    """The word that is asked about; for cross references one that several verses have, if there is one."""
    if kind is scripture_rows.cross_references:
        known = [one for one in known if sum(one.word.id in v.ids for v in context) > 1] or known
    return rng.choice(known)


def _place(verse: Verse) -> tuple[int, int, int]:
    found = read_reference(verse.ref)
    assert found is not None, "the sample was read by its references"
    return found.position, found.chapter, found.verse or 0


def _slot(slot: str) -> tuple[str, str]:
    """The kind of word that a capital asks for, and the form in which it is written."""
    if slot in ("DO", "DOES", "DO_TO"):
        return ("DONE_TO" if slot == "DO_TO" else "DONE"), ("-s" if slot == "DOES" else "")
    if slot in _PASTS:
        return slot, "past"
    return (slot, "") if slot in _KINDS else (slot.removesuffix("S"), "-s")


def _written(gloss: str, form: str, kind: str) -> str:
    if kind == "WHO":
        return {"LORD": "the LORD", "lord": "the Lord"}.get(gloss, gloss)
    if form == "past":
        return _PASTS[kind][gloss]
    if form == "-s":
        return gloss + ("es" if gloss.endswith(("s", "sh", "ch", "x")) else "s")
    return gloss
