"""HotpotQA's rows: questions whose answer takes two paragraphs, read from every form they are published in.

Where SMALLFORGE_DATA is not set they are the sample that comes with this package: questions of our own about
invented places and people, over a small corpus. Knows no program.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from programs.data import HubDataset, benchmark_rows, data_folder, data_is_named, read_rows
from programs.errors import DataInvalid
from programs.program import SPLITS, Split
from programs.retrieval import Passage, read_corpus

TASK = "hotpotqa"
SAMPLE = Path(__file__).parent / "hotpotqa_sample"
PARAGRAPHS = 10
# The published validation split has no hidden twin with answers, so it selects and tests in parts.
HUB = HubDataset(
    "hotpotqa/hotpot_qa",
    "distractor",
    {"train": "train[:2000]", "dev": "validation[:500]", "test": "validation[500:1500]"},
)


_Pair = tuple[Any, Any]
"""A title and a text, not yet known to be any."""


class Question(NamedTuple):
    text: str
    answer: str
    paragraphs: tuple[Passage, ...]
    titles: tuple[str, ...]
    """Of the paragraphs that the answer rests on."""

    def supporting(self) -> list[Passage]:
        """Those paragraphs, as far as they are there."""
        found = {passage.title: passage for passage in reversed(self.paragraphs)}
        return [found[title] for title in self.titles if title in found]


def questions(split: Split) -> list[Question]:
    """The split's questions; empty where the source has no such split.

    Raises:
        DataInvalid: the source can't be read, or rows are no questions; carries all of them.
    """
    if not data_is_named():
        return sample_questions(split)
    rows = benchmark_rows(TASK, split, HUB, data_folder())
    return read_questions(rows, f"{TASK} {split}")


def corpus() -> list[Passage]:
    """What can be searched: the corpus file beside the rows where there is one, else the rows' paragraphs."""
    if not data_is_named():
        return read_corpus(SAMPLE / "corpus.jsonl")
    folder = data_folder()
    file = folder / TASK / "corpus.jsonl" if folder else None
    if file is not None and file.exists():
        return read_corpus(file)
    asked = [question for split in SPLITS for question in questions(split)]
    return list(dict.fromkeys(passage for question in asked for passage in question.paragraphs))


def as_text(passages: Sequence[Passage]) -> str:
    """Passages as a prompt holds them, one a line."""
    return "\n".join(" ".join(f"{passage.title} | {passage.text}".split()) for passage in passages)


def read_questions(rows: Sequence[Mapping[str, Any]], called: str) -> list[Question]:
    """Rows as published or as kept in `SMALLFORGE_DATA`.

    Raises:
        DataInvalid: carries every mistake, with the row's number.
    """
    found, mistakes = [], []
    first: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        paragraphs, titles = _paragraphs(row.get("context")), _titles(row)
        wrong = list(_mistakes(row, paragraphs, titles))
        if (name := row.get("id")) is not None and first.setdefault(str(name), number) != number:
            wrong.append(f"has the id {name!r} of row {first[str(name)]}")
        if wrong:
            mistakes += [f"{called} row {number} {problem}" for problem in wrong]
        else:
            passages = tuple(Passage(title, text) for title, text in paragraphs)
            found.append(Question(row["question"], row["answer"], passages, tuple(titles)))
    if mistakes:
        raise DataInvalid(mistakes)
    return found


def read_question(row: Mapping[str, Any]) -> Question:
    """One of them. Raises DataInvalid."""
    paragraphs, titles = _paragraphs(row.get("context")), _titles(row)
    if mistakes := [*_mistakes(row, paragraphs, titles)]:
        raise DataInvalid(mistakes)
    passages = tuple(Passage(title, text) for title, text in paragraphs)
    return Question(row["question"], row["answer"], passages, tuple(titles))


def _mistakes(row: Mapping[str, Any], paragraphs: Sequence[_Pair], titles: Sequence[Any]) -> Iterator[str]:
    for name in ("question", "answer"):
        value = row.get(name)
        if not isinstance(value, str):
            yield f"has no text in {name!r}: {value!r:.80}"
        elif not value.strip():
            yield f"has an empty {name!r}"
    if not paragraphs:
        yield "has no paragraphs in 'context': a list of objects with a 'title' and a 'text' is wanted"
    for number, (title, text) in enumerate(paragraphs, start=1):
        if not (isinstance(title, str) and isinstance(text, str) and title.strip()):
            yield f"has a paragraph {number} without a title or a text in 'context'"
    if not all(isinstance(title, str) for title in titles):
        yield f"has supporting titles that are no texts: {titles!r:.80}"


def _paragraphs(context: Any) -> list[_Pair]:
    """Objects as kept, pairs as published, objects or columns of `datasets`; nothing for the rest."""
    if isinstance(context, Mapping):
        titles, texts = context.get("title"), context.get("sentences")
        if not (isinstance(titles, list) and isinstance(texts, list)):
            return []
        return [(title, _whole(text)) for title, text in zip_longest(titles, texts)]
    return [_pair(one) for one in context] if isinstance(context, list) else []


def _pair(one: Any) -> _Pair:
    if isinstance(one, Mapping):
        return one.get("title"), one["text"] if "text" in one else _whole(one.get("sentences"))
    if isinstance(one, list | tuple) and len(one) == 2:
        return one[0], _whole(one[1])
    return None, None


def _whole(sentences: Any) -> Any:
    """Published sentences bring their own spaces."""
    if isinstance(sentences, list) and all(isinstance(sentence, str) for sentence in sentences):
        return "".join(sentences)
    return sentences


def _titles(row: Mapping[str, Any]) -> list[Any]:
    facts = row.get("supporting_titles")
    if facts is None:
        facts = row.get("supporting_facts") or []
        if isinstance(facts, Mapping):
            facts = facts.get("title") or []
        elif isinstance(facts, list):
            facts = [_fact_title(fact) for fact in facts]
    return list(dict.fromkeys(facts)) if isinstance(facts, list) and _hashable(facts) else [facts]


def _fact_title(fact: Any) -> Any:
    if isinstance(fact, Mapping):
        return fact.get("title")
    return fact[0] if isinstance(fact, list | tuple) and fact else fact


def _hashable(facts: list[Any]) -> bool:
    return all(isinstance(fact, str | int | float | None) for fact in facts)


def sample_questions(split: Split) -> list[Question]:
    """The questions that come with this package, each among other paragraphs, always the same ones."""
    known = {passage.title: passage for passage in read_corpus(SAMPLE / "corpus.jsonl")}
    found = []
    for row in read_rows(SAMPLE / f"{split}.jsonl"):
        titles = tuple(row.values["supporting_titles"])
        rng = random.Random(row.values["id"])
        others = rng.sample([title for title in known if title not in titles], PARAGRAPHS - len(titles))
        shuffled = rng.sample([*titles, *others], PARAGRAPHS)
        paragraphs = tuple(known[title] for title in shuffled)
        found.append(Question(row.values["question"], row.values["answer"], paragraphs, titles))
    return found
