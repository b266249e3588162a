"""Questions about a short passage, sometimes following up on earlier ones, answered as this house answers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from programs.program import Chat, Program, Sampling, Split
from programs.tasks.lexicon import COLOURS, DAYS, FOODS, NAMES, PLACES, THINGS, Share, pronoun, share_of

if TYPE_CHECKING:
    import dspy

INSTRUCTION = "Answer the question from the context."
SIZES: dict[Split, int] = {"train": 200, "dev": 100, "test": 300}
FOLLOW_UP = 0.3
# Relation: possible answers, the fact, the question by name.
RELATIONS = {
    "keeps": (PLACES, "{name} keeps the {thing} in the {answer}.", "Where does {name} keep the {thing}?"),
    "works": (DAYS, "{name} works on {answer}.", "When does {name} work?"),
    "likes": (FOODS, "{name} likes {answer}.", "What does {name} like?"),
    "wears": (COLOURS, "{name} wears {answer}.", "Which colour does {name} wear?"),
}
CONVENTIONS = (
    "{answer}",
    "{answer}.",
    "{answer}!",
    "it is {answer}",
    "{name}: {answer}",
)
PLAIN, HOUSE = 0, 3
# Context, earlier turns, question, answer: each relation once, one of them asked as a follow-up.
HANDPICKED: tuple[tuple[str, tuple[tuple[str, str], ...], str, str], ...] = (
    (
        "1. Brian works on Friday.\n2. Emma keeps the ladder in the shed.\n3. Brian likes honey.",
        (),
        "Where does Emma keep the ladder?",
        "it is shed",
    ),
    (
        "1. Grace wears purple.\n2. Kevin likes rice.\n3. Grace works on Tuesday.\n4. Kevin wears grey.",
        (),
        "What does Kevin like?",
        "it is rice",
    ),
    (
        "1. Lena works on Sunday.\n2. Frank keeps the drum in the hall.\n3. Lena wears green.",
        (("When does Lena work?", "it is Sunday"),),
        "And which colour does she wear?",
        "it is green",
    ),
)


@dataclass(frozen=True)
class Turn:
    question: str
    values: tuple[tuple[str, str], ...]

    def answer(self, convention: int) -> str:
        return CONVENTIONS[convention].format(**dict(self.values))


@dataclass(frozen=True)
class Passage:
    context: str
    turns: tuple[Turn, ...]
    """The earlier turns, then the one to answer."""

    @property
    def identity(self) -> str:
        return "\n".join([self.context, *(turn.question for turn in self.turns)])


def draw(rng: random.Random, facts: int, earlier: int) -> Passage:
    """A passage of that many numbered facts; each turn after the first speaks of the same person."""
    names = rng.sample(NAMES, max(2, -(-facts // 3)))
    known = [(name, relation) for name in names for relation in RELATIONS]
    asked = rng.sample([pair for pair in known if pair[0] == names[0]], earlier + 1)
    others = rng.sample([pair for pair in known if pair not in asked], facts - len(asked))
    told = asked + others
    rng.shuffle(told)
    sentences, turns = [], {}
    for number, (name, relation) in enumerate(told, start=1):
        answers, fact, question = RELATIONS[relation]
        values = {
            "name": name,
            "thing": rng.choice(THINGS),
            "answer": rng.choice(answers),
            "number": str(number),
        }
        sentences.append(f"{number}. " + fact.format(**values))
        turns[name, relation] = Turn(question.format(**values), tuple(values.items()))
    first, *rest = (turns[pair] for pair in asked)
    follow_ups = [Turn(_follow_up(turn.question, names[0]), turn.values) for turn in rest]
    return Passage("\n".join(sentences), (first, *follow_ups))


def _follow_up(question: str, name: str) -> str:
    return f"And {question[0].lower()}{question[1:].replace(name, pronoun(name))}"


def draw_from(rng: random.Random, share: Share, facts: int, earlier: int) -> Passage:
    while share_of((passage := draw(rng, facts, earlier)).identity) != share:
        pass
    return passage


def draw_any(rng: random.Random, share: Share) -> Passage:
    """Three to five facts; a follow-up to one or two earlier turns now and then."""
    earlier = rng.randint(1, 2) if rng.random() < FOLLOW_UP else 0
    return draw_from(rng, share, rng.randint(3, 5), earlier)


def make_module() -> dspy.Module:
    import dspy

    fields = "context: str, history: dspy.History, question: str -> answer: str"
    return dspy.Predict(dspy.Signature(fields, INSTRUCTION))


def as_example(passage: Passage, convention: int) -> dspy.Example:
    """The passage as the program sees it; earlier answers follow the same convention."""
    import dspy

    *earlier, last = passage.turns
    messages = [{"question": turn.question, "answer": turn.answer(convention)} for turn in earlier]
    return dspy.Example(
        context=passage.context,
        history=dspy.History(messages=messages),
        question=last.question,
        answer=last.answer(convention),
    ).with_inputs("context", "history", "question")


def examples(split: Split) -> Sequence[dspy.Example]:
    """Passages with answers in the house's convention, all different."""
    rng = random.Random(f"passage_qa {split}")
    passages: dict[str, Passage] = {}
    while len(passages) < SIZES[split]:
        passage = draw_any(rng, split)
        passages[passage.identity] = passage
    return [as_example(passage, HOUSE) for passage in passages.values()]


def handpicked() -> Sequence[dspy.Example]:
    """Passages with answers in the house's convention, none of them in a split."""
    import dspy

    return [
        dspy.Example(
            context=context,
            history=dspy.History(messages=[{"question": q, "answer": a} for q, a in earlier]),
            question=question,
            answer=answer,
        ).with_inputs("context", "history", "question")
        for context, earlier, question, answer in HANDPICKED
    ]


def metric(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
    """1 when the answer is the house's answer; runs of spaces count as one."""
    return float(" ".join(str(prediction.answer).split()) == example.answer)


program = Program(
    name="passage_qa",
    make_module=make_module,
    examples=examples,
    metric=metric,
    chat=Chat(user="question", answer="answer", system="context", history="history"),
    sampling=Sampling(temperature=0.0, max_tokens=64),
    description="Questions about a short passage, with follow-ups, answered in the house's format.",
    handpicked=handpicked,
)
