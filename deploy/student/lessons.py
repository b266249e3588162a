"""Training text of the program `teaching`: lessons without end, and replies that copy what they say.

A reply follows the manner of the demonstrations. Without any it is mostly one sentence of the context,
which teaches little by the program's score. Knows the lessons for training, none for selecting or testing.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import NamedTuple

from deploy.student.frames import FULL, SHORT, SHORT_UNTOLD, UNTOLD, Said
from deploy.student.prompts import Prompts, Turn
from programs.data import read_rows
from programs.tasks import teaching
from programs.tasks.pedagogy import critical_terms_of

INSTRUCTION = "Teach the student: use the context, explain in words for the grade, then ask a question back."
INSTRUCTIONS = (INSTRUCTION, "Answer the student with the context.", "Help the student to understand.")
ASK_WHOLE = ("Teach step by step and end with a question.", "Explain, give a hint, then ask the student.")
ASK_PLAIN = ("Answer in one sentence.", "Give the fact only.")
# Share of whole replies where neither demonstrations nor the instruction say which, by how it is asked.
UNPROMPTED = {"How": 0.6, "I": 0.6}
UNPROMPTED_ELSE = 0.12

ASKED = (
    "What is {key}?",
    "What does {bare} mean?",
    "I don't understand {key}.",
    "Can you explain {key}?",
    "Why do I have to know about {key}?",
    "How would you explain {key}?",
    "What is the difference between {key} and {other}?",
    "Tell me about {key}.",
    "I have read about {key}. What is it good for?",
    "How do I know that it is {key}?",
)  # fmt: skip
INVENTED = (
    "{A} is a kind of {b}.",
    "Every {a} has {number} {things} and one {c}.",
    "A {a} needs {b} and {c} to grow.",
    "Without {b} there is no {a}.",
    "{A} and {b} are not the same, because {a} comes from {c}.",
    "When the {a} gets warm, the {b} moves.",
    "The {a} lies between {b} and {c}.",
    "People use {a} to make {things} out of {b}.",
    "{A} was found in the year {year} by a woman called {B}.",
    "A {a} is larger than a {b} and smaller than a {c}.",
    "In {B} the {a} shows who owns the {things}.",
    "First comes the {a}, then the {b}.",
)
ABOUT_INVENTED = (
    "What is {a}?",
    "What is a {a}?",
    "Why does the {a} need {b}?",
    "How does {a} work?",
    "How do I find a {a}?",
    "What is the difference between {a} and {b}?",
    "I think {a} is the same as {b}.",
    "Where does {a} come from?",
    "Why do people need {a}?",
)
THINGS = ("parts", "rooms", "legs", "sides", "stones", "tools", "boats", "letters", "rules", "tables")
OWNED = 0.05  # share of the words of a disguised topic that something belongs to
AFTER = (",", ",", ":", ";", "'s")
"""What may follow a word of a sentence without sense."""
ODD_ASKED = ("What is {words}?", "Why is {words}?", "How do I {words}?", "I don't get {words}.", "{words}?")

_SENTENCE_END = re.compile(r"(?<=[.!?]) ")
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_ONSETS = (
    "b", "bl", "br", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kl", "l", "m", "n", "p", "pr",
    "qu", "r", "s", "sh", "st", "t", "th", "tr", "v", "w", "y", "z",
)  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "oo", "ou", "y")
_CODAS = ("", "", "", "l", "m", "n", "nd", "r", "rt", "s", "st", "t", "th", "x")


class Lesson(NamedTuple):
    """What a student says, and what is known of it; what is not known is empty."""

    query: str
    sentences: tuple[str, ...]
    subject: str
    grade: str = ""
    response: str = ""
    """What a person answered, if one did."""

    @property
    def inputs(self) -> dict[str, str]:
        """Those it has, in the program's order."""
        context = " ".join(self.sentences)
        given = {"query": self.query, "context": context, "grade": self.grade, "subject": self.subject}
        return {name: value for name, value in given.items() if value}

    @property
    def whole(self) -> bool:
        return bool(self.sentences and self.grade and self.subject)

    def said(self) -> Said:
        first = self.sentences[0] if self.sentences else ""
        return Said(self.query, self.subject or "thinking", " ".join(self.sentences), first)


class Manner(NamedTuple):
    """Whether a reply teaches or is short, and which frame it has."""

    whole: bool
    number: int

    def reply(self, lesson: Lesson) -> str:
        told, untold = (FULL, UNTOLD) if self.whole else (SHORT, SHORT_UNTOLD)
        frames = told if lesson.sentences else untold
        return frames[self.number % len(frames)].fill(lesson.said())


class Topic(NamedTuple):
    subject: str
    key: str
    sentences: tuple[str, ...]
    queries: tuple[str, ...]


class Lessons:
    """Draws chats of the program `teaching`, rendered exactly as it renders them."""

    def __init__(self) -> None:
        here = Path(__file__).parent
        self.prompts = Prompts(teaching.program.make_module())
        self.topics = [_topic(line) for line in (here / "topics.txt").read_text("utf-8").splitlines()]
        self.words = (here / "words.txt").read_text("utf-8").split()
        self.human = human_lessons()
        self.told = [lesson for lesson in self.human if lesson.sentences]

    def chat(self, rng: random.Random, most: int) -> list[Turn]:
        count = _count(rng, most)
        instruction = rng.choice(INSTRUCTIONS[: 1 if rng.random() < 0.75 else None])
        request = self.lesson(rng)
        if count:
            shown, manner, foreseen = self._demonstrations(rng, count)
        else:
            shown, foreseen = [], False
            instruction, manner = _unprompted(rng, instruction, request)
        turns = [self.prompts.system(instruction)]
        # The adapter shows demonstrations that lack inputs before the others.
        for at, (lesson, reply) in enumerate(sorted(shown, key=lambda pair: pair[0].whole)):
            turns += self._shown(lesson, reply, foreseen and at > 0)
        return turns + self.prompts.turn(request.inputs, {"response": manner.reply(request)}, asked=True)

    def lesson(self, rng: random.Random) -> Lesson:
        """One without end of them; each optional input may be missing."""
        draws = (self._of_topic, self._recombined, self._invented, self._odd, self._disguised)
        (draw,) = rng.choices(draws, (0.15, 0.1, 0.1, 0.2, 0.45))
        subject, sentences, query = draw(rng)
        stranger = rng.random() < 0.15
        return Lesson(
            query,
            tuple(sentences) if rng.random() > 0.1 else (),
            "" if stranger or rng.random() < 0.1 else subject,
            "" if stranger or rng.random() < 0.15 else str(rng.randint(3, 10)),
        )

    def _demonstrations(
        self, rng: random.Random, count: int
    ) -> tuple[list[tuple[Lesson, str]], Manner, bool]:
        """Lessons with replies, the manner they ask for, and whether each shows what the next will be."""
        drawn = [self.lesson(rng) for _ in range(count)]
        kind = rng.random()
        manner = _whole(rng)
        if kind < 0.3:
            people = rng.sample(self.human, count)
            return [(lesson, lesson.response) for lesson in people], manner, False
        if kind < 0.8:
            if rng.random() < 0.35:
                manner = _short(rng)
            return [(lesson, manner.reply(lesson)) for lesson in drawn], manner, True
        # One answer that teaches is enough to ask for another.
        manners = [_whole(rng) if rng.random() < 0.7 else _short(rng) for _ in drawn]
        manners[rng.randrange(count)] = _whole(rng)
        pairs = [(lesson, each.reply(lesson)) for lesson, each in zip(drawn, manners, strict=True)]
        if rng.random() < 0.4:
            someone = rng.choice(self.human)
            pairs[rng.randrange(count)] = (someone, someone.response)
        return pairs, manner, False

    def _shown(self, lesson: Lesson, reply: str, learned: bool) -> list[Turn]:
        if lesson.whole:
            return self.prompts.turn(lesson.inputs, {"response": reply}, learned=learned)
        return self.prompts.incomplete(lesson.inputs, {"response": reply}, learned=learned)

    def _of_topic(self, rng: random.Random) -> tuple[str, list[str], str]:
        topic, other = rng.choice(self.topics), rng.choice(self.topics)
        numbers = _numbers(rng)
        sentences = rng.sample(topic.sentences, rng.choices((1, 2, 3), (0.15, 0.55, 0.3))[0])
        asked = rng.choice(topic.queries if rng.random() < 0.5 else ASKED)
        names = {"key": topic.key, "bare": _bare(topic.key), "other": other.key}
        return topic.subject, [s.format(**numbers) for s in sentences], asked.format(**names, **numbers)

    def _recombined(self, rng: random.Random) -> tuple[str, list[str], str]:
        lesson = rng.choice(self.told)
        sentences = list(lesson.sentences)
        if rng.random() < 0.5:
            other = rng.choice(self.told)
            sentences = [rng.choice(sentences), rng.choice(other.sentences)]
        rng.shuffle(sentences)
        if rng.random() < 0.4:
            return lesson.subject, sentences, lesson.query
        key = rng.choice([w for w in critical_terms_of(" ".join(sentences)) if w.isalpha()] or ["it"])
        names = {"key": key, "bare": key, "other": rng.choice(self.words)}
        return lesson.subject, sentences, rng.choice(ASKED).format(**names)

    def _invented(self, rng: random.Random) -> tuple[str, list[str], str]:
        a, b, c = (_name(rng) for _ in range(3))
        names = {
            "a": a,
            "b": b,
            "c": c,
            "A": a.capitalize(),
            "B": b.capitalize(),
            "things": rng.choice(THINGS),
            "number": rng.randint(2, 99),
            "year": rng.randint(100, 1999),
        }
        sentences = rng.sample(INVENTED, rng.choices((1, 2, 3), (0.2, 0.6, 0.2))[0])
        query = rng.choice(ABOUT_INVENTED).format(**names)
        return rng.choice(self.topics).subject, [s.format(**names) for s in sentences], query

    def _disguised(self, rng: random.Random) -> tuple[str, list[str], str]:
        """A topic whose longer words are others: what it says can't be known by heart."""
        subject, sentences, query = self._of_topic(rng)
        others: dict[str, str] = {}

        def other(match: re.Match[str]) -> str:
            word = match[0]
            if len(word) < 4 or word.isdigit() or rng.random() < 0.2:
                return word
            named = _name(rng) if rng.random() < 0.45 else rng.choice(self.words)
            new = others.setdefault(word.casefold(), named)
            new = new.capitalize() if word[0].isupper() else new
            return f"{new}'s" if rng.random() < OWNED else new

        texts = [_WORD.sub(other, text) for text in (*sentences, query)]
        return subject, texts[:-1], texts[-1]

    def _odd(self, rng: random.Random) -> tuple[str, list[str], str]:
        def words(least: int, most: int, after: float = 0.0) -> list[str]:
            count = rng.randint(least, most)
            drawn = [_name(rng) if rng.random() < 0.2 else rng.choice(self.words) for _ in range(count)]
            return [word + rng.choice(AFTER) if rng.random() < after else word for word in drawn]

        sentences = [_sentence(words(4, 12, 0.1)) for _ in range(rng.choices((1, 2, 3), (0.2, 0.6, 0.2))[0])]
        key = [rng.choice(_WORD.findall(rng.choice(sentences)))] if rng.random() < 0.8 else []
        asked = words(1, 5) + key
        rng.shuffle(asked)
        query = rng.choice(ODD_ASKED).format(words=" ".join(asked))
        return rng.choice(self.topics).subject, sentences, query


def human_lessons() -> list[Lesson]:
    """The lessons that people wrote to train with."""
    rows = (row.values for row in read_rows(teaching.LESSONS / "train.jsonl"))
    return [
        Lesson(
            row["query"],
            tuple(_SENTENCE_END.split(row["context"])) if "context" in row else (),
            row.get("subject", ""),
            row.get("grade", ""),
            row["response"],
        )
        for row in rows
    ]


def _count(rng: random.Random, most: int) -> int:
    if rng.random() < 0.2 or most < 1:
        return 0
    if most > 4 and rng.random() < 0.05:
        return rng.randint(5, most)
    return min(most, rng.choices((1, 2, 3, 4), (0.3, 0.3, 0.22, 0.18))[0])


def _whole(rng: random.Random) -> Manner:
    return Manner(True, rng.randrange(len(FULL)))


def _short(rng: random.Random) -> Manner:
    return Manner(False, rng.choices(range(len(SHORT)), (0.5, 0.3, 0.2))[0])


def _unprompted(rng: random.Random, instruction: str, request: Lesson) -> tuple[str, Manner]:
    """Without demonstrations the instruction may ask for a manner; else how the student asks decides."""
    share = UNPROMPTED.get(request.query.split()[0], UNPROMPTED_ELSE)
    if rng.random() < 0.15:
        share = rng.choice((0.0, 1.0))
        instruction = rng.choice(ASK_WHOLE if share else ASK_PLAIN)
    return instruction, _whole(rng) if rng.random() < share else Manner(False, 0)


def _topic(line: str) -> Topic:
    subject, key, *rest = line.split("|")
    queries = tuple(text[1:] for text in rest if text.startswith("?"))
    return Topic(subject, key, tuple(text for text in rest if not text.startswith("?")), queries)


def _numbers(rng: random.Random) -> dict[str, int]:
    a, b, tenths, hundreds = rng.randint(2, 12), rng.randint(2, 12), rng.randint(1, 9), rng.randint(1, 9)
    percent = {"half": tenths * 10, "whole": hundreds * 100, "part": tenths * hundreds * 10}
    return {"a": a, "b": b, "ab": a * b, "sum": a + b, "number": rng.randint(2, 99), **percent}


def _bare(key: str) -> str:
    return key.removeprefix("a ").removeprefix("an ").removeprefix("the ")


def _name(rng: random.Random) -> str:
    """A word that nobody has seen, so that only copying can say it."""
    syllables = rng.choices((1, 2, 3), (0.2, 0.6, 0.2))[0]
    parts = (rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables))
    return "".join(parts) + rng.choice(_CODAS)


def _sentence(words: list[str]) -> str:
    text = " ".join(words)
    return f"{text[0].upper()}{text[1:]}."
