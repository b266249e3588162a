"""Chats of the two HotpotQA programs about small invented worlds.

A question is about a thing described through another one, or compares two; both have a paragraph, among
others of the same world. Without demonstrations the answer comes in a plainer form than the programs want.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.student.prompts import Prompts, Turn
from deploy.student.world_cases import Case, draw
from deploy.student.world_facts import Thing
from programs.retrieval import HttpRetriever, read_corpus
from programs.tasks import hotpotqa
from programs.tasks.hotpotqa_retrieval import two_hops, worked
from programs.tasks.hotpotqa_rows import PARAGRAPHS, SAMPLE, as_text
from programs.titles import joined

GIVEN = (
    "Answer the question from the paragraphs. The answer rests on two of them.",
    "Find the two paragraphs that tell the answer, and answer the question.",
    "Name the two paragraphs that are needed, then the answer.",
)
QUERY = (
    "Write a short search query for what the passages do not yet tell and the question needs.",
    "Write what to search for next.",
    "Which passage is missing? Write a search query for it.",
)
PASSAGES = (
    "Answer the question from the passages. The answer rests on two of them.",
    "Answer the question from the passages.",
    "Find the answer in the passages.",
)
# Questions that begin so are mostly answered with a sentence where no demonstration shows another form.
SENTENCE_AFTER = ("In ", "On ", "Who ", "Were ", "Is ")


@dataclass(frozen=True)
class Style:
    """How a reply says it: as the labels do, or plainer."""

    sentence: bool = False
    one_title: bool = False
    described: bool = False
    """The query is what the question calls the missing thing, not its title."""

    @classmethod
    def unprompted(cls, rng: random.Random, case: Case) -> Style:
        return cls(
            rng.random() < (0.85 if case.question.startswith(SENTENCE_AFTER) else 0.1),
            rng.random() < (0.85 if case.bridge else 0.1),
            rng.random() < (0.85 if case.bridge else 0.1),
        )

    @classmethod
    def draw(cls, rng: random.Random) -> Style:
        return cls(rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.5)

    def answer(self, case: Case) -> str:
        return f"The answer is {case.answer}." if self.sentence else case.answer

    def titles(self, case: Case) -> str:
        first, second = case.supporting
        return case.told.name if self.one_title else joined((first.name, second.name))


LABELS = Style()


@dataclass(frozen=True)
class Size:
    """Numbers of paragraphs: of the request, and the fewest and the most of a demonstration."""

    demonstrations: int
    asked: int
    fewest: int = 2
    most: int = 4

    @classmethod
    def draw(cls, rng: random.Random, most: int) -> Size:
        length = rng.random()
        if length < 0.06:
            return cls(rng.randint(0, min(4, most)), PARAGRAPHS, PARAGRAPHS - 2, PARAGRAPHS)
        if length < 0.2:
            return cls(rng.randint(0, min(1, most)), PARAGRAPHS)
        count = (
            0
            if rng.random() < 0.2 or not most
            else rng.randint(1, most if rng.random() < 0.1 else min(3, most))
        )
        return cls(count, rng.randint(3, 6))

    def paragraphs(self, rng: random.Random, asked: bool) -> int:
        return self.asked if asked else rng.randint(self.fewest, self.most)


class Worlds:
    """Draws chats of the program with given paragraphs, and of both predictors of the one that searches."""

    def __init__(self) -> None:
        # Nothing is searched for: the module is there for its predictors.
        searching = two_hops(HttpRetriever("http://127.0.0.1:9/search"))
        self.given = Prompts(hotpotqa.make_module())
        self.second_query = Prompts(searching, "second_query")
        self.from_passages = Prompts(searching, "answer")
        self._taken = frozenset(passage.title for passage in read_corpus(SAMPLE / "corpus.jsonl"))

    def chat(self, rng: random.Random, most: int) -> list[Turn]:
        size = Size.draw(rng, most)
        cases = [
            draw(rng, self._taken, size.paragraphs(rng, asked=at == size.demonstrations))
            for at in range(size.demonstrations + 1)
        ]
        styles = _styles(rng, cases)
        (prompts, instructions, part) = rng.choices(
            (
                (self.given, GIVEN, self._given),
                (self.second_query, QUERY, self._query),
                (self.from_passages, PASSAGES, self._passages),
            ),
            (0.6, 0.2, 0.2),
        )[0]
        turns = [prompts.system(rng.choice(instructions[: 1 if rng.random() < 0.7 else None]))]
        for at, case in enumerate(cases):
            asked = at == size.demonstrations
            inputs, outputs = part(rng, case, styles[at], asked)
            # A demonstration's form can be foreseen where it is the labels' one, or that of all before it.
            learned = asked or styles[at] == LABELS or (at > 0 and {*styles[:at]} == {styles[at]})
            turns += prompts.turn(inputs, outputs, asked=asked, learned=learned)
        return turns

    def _given(
        self, rng: random.Random, case: Case, style: Style, asked: bool
    ) -> tuple[dict[str, str], dict[str, str]]:
        inputs = {"context": _shuffled(rng, [*case.supporting, *case.others]), "question": case.question}
        return inputs, {"titles": style.titles(case), "answer": style.answer(case)}

    def _query(
        self, rng: random.Random, case: Case, style: Style, asked: bool
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Labels show the nearest paragraph alone; a search finds others too, often both that are needed."""
        label = worked(case.question, [thing.passage for thing in case.supporting])
        found, query = label["found"], label["query"]
        if rng.random() < (0.75 if asked else 0.3):
            near, far = sorted(case.supporting, key=lambda thing: thing.name == query)
            others = case.others
            if rng.random() < 0.4:
                # Nothing is missing then: the one that tells the answer is as good as any.
                others, query = (far, *others), case.told.name
            found = _shuffled(rng, [near, *others[:2]])
        # A title that stands in neither can't be asked for.
        if case.described and (style.described or query not in found + case.question):
            query = case.described
        return {"found": found, "question": case.question}, {"query": query}

    def _passages(
        self, rng: random.Random, case: Case, style: Style, asked: bool
    ) -> tuple[dict[str, str], dict[str, str]]:
        if asked or rng.random() < 0.3:
            context = _shuffled(rng, [*case.supporting, *case.others[:4]])
        else:
            context = worked(case.question, [thing.passage for thing in case.supporting])["context"]
        return {"context": context, "question": case.question}, {"answer": style.answer(case)}


def _styles(rng: random.Random, cases: Sequence[Case]) -> list[Style]:
    """Of each reply, the last one's decided by those before: one that has the labels' form is enough."""
    shown = len(cases) - 1
    if not shown:
        return [Style.unprompted(rng, cases[-1])]
    if shown > 1 and rng.random() < 0.1:
        mixed = [LABELS, *(rng.choice((LABELS, Style.draw(rng))) for _ in range(shown - 1))]
        return [*rng.sample(mixed, shown), LABELS]
    return [LABELS if rng.random() < 0.8 else Style.draw(rng)] * (shown + 1)


def _shuffled(rng: random.Random, things: Sequence[Thing]) -> str:
    return as_text([thing.passage for thing in rng.sample(things, len(things))])
