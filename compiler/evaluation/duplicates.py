"""Finds test rows that nearly are training or dev rows: what was learnt there is not learnt, only remembered.

Rows are compared by their inputs: every three words in a row, in lower case, without punctuation. MinHash
(`datasketch`) finds likely pairs, the exact Jaccard similarity decides. A row that differs in a number is
another row: that makes problems of one template different. What is said in other words is not seen, nor a
row of a few words that differs in one of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import dspy

from compiler.evaluation.answers import Answer, summarise
from compiler.events import Duplicated
from compiler.split import Parts
from programs.program import Split

if TYPE_CHECKING:
    from datasketch import MinHash

THRESHOLD = 0.75
LOUD = 0.01  # share of the test rows from which on the build says so while it runs
WORDS = 3  # in a shingle
LONGEST = 1_000  # words of a row that are compared
MOST_SHOWN = 10
SHOWN = 160  # characters of a row
_PERMUTATIONS = 128
_WEIGHTS = (0.1, 0.9)  # a likely pair too many is sorted out after, one that is missed is lost
_MOST_CHECKED = 50  # likely pairs of one row that are compared exactly

# Letters of scripts that put no space between words are words; operators count where numbers stand around.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|(?<=[\d\s])[-+*/=<>^%](?=[\d\s])")

Shingles = frozenset[str]


@dataclass(frozen=True)
class Pair:
    """A test row and the row that it nearly is, both by their place from 0, shortened."""

    test: int
    split: Split
    row: int
    similarity: float
    test_inputs: str
    row_inputs: str


@dataclass(frozen=True)
class Duplicates:
    """Every test row that nearly is a training or dev row, with the first such row."""

    pairs: tuple[Pair, ...]
    test_rows: int

    @property
    def share(self) -> float:
        return len(self.pairs) / self.test_rows

    @property
    def notes(self) -> tuple[str, ...]:
        """What a build says of them while it runs: nothing of a few."""
        return (self.describe(),) if self.share > LOUD else ()

    def describe(self) -> str:
        what = "row is nearly a training or dev row" if len(self.pairs) == 1 else (
            "rows are nearly training or dev rows"
        )  # fmt: skip
        return (
            f"{len(self.pairs)} of {self.test_rows} test {what} (similarity of {THRESHOLD:g} or more); their "
            "scores say little of new rows."
        )

    def scored(self, compiled: Sequence[Answer], seed: int) -> Duplicated | None:
        """The compiled program's score without them; None where there are none."""
        if not self.pairs:
            return None
        doubled = {pair.test for pair in self.pairs}
        rest = [answer for index, answer in enumerate(compiled) if index not in doubled]
        return Duplicated(len(doubled), self.share, summarise(rest, seed) if rest else None)

    def as_dict(self, duplicated: Duplicated | None) -> dict[str, Any]:
        """The section of build.json."""
        return {
            "rows": len(self.pairs),
            "share": self.share,
            "threshold": THRESHOLD,
            "words_in_a_shingle": WORDS,
            "pairs": [asdict(pair) for pair in self.pairs[:MOST_SHOWN]],
            "score_without": duplicated and duplicated.without and asdict(duplicated.without),
        }


def find_duplicates(parts: Parts) -> Duplicates:
    """Compares every training and dev row with the test rows that may be like it.

    Takes about 0.2 ms a row; memory holds the shingles of the test rows only. Of rows that all are somewhat
    alike, as templates make them, each is compared exactly with at most 50.
    """
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=THRESHOLD, num_perm=_PERMUTATIONS, weights=_WEIGHTS)
    held_out = [shingles(example) for example in parts.test]
    for number, found in enumerate(held_out):
        index.insert(number, _sketch(found))
    pairs: dict[int, Pair] = {}
    sides: tuple[tuple[Split, Sequence[dspy.Example]], ...] = (("train", parts.train), ("dev", parts.dev))
    for split, examples in sides:
        for row, example in enumerate(examples):
            if len(pairs) == len(held_out):
                break
            mine = shingles(example)
            for number in sorted(index.query(_sketch(mine)))[:_MOST_CHECKED]:
                similarity = len(mine & held_out[number]) / len(mine | held_out[number])
                if similarity >= THRESHOLD:
                    index.remove(number)  # one is enough; rows that are all alike are then compared once
                    texts = (_shortened(parts.test[number]), _shortened(example))
                    pairs[number] = Pair(number, split, row, round(similarity, 4), *texts)
    return Duplicates(tuple(pairs[number] for number in sorted(pairs)), len(held_out))


def shingles(example: dspy.Example) -> Shingles:
    """What a row is compared by; rows with other numbers have none in common."""
    text = unicodedata.normalize("NFKC", " ".join(_texts(dict(example.inputs().items())))).casefold()
    words = _WORD.findall(text)[:LONGEST] or [text]
    numbers = Counter(word for word in words if any(character.isdigit() for character in word))
    told = " ".join(f"{number}*{count}" for number, count in sorted(numbers.items()))
    starts = range(max(1, len(words) - WORDS + 1))
    return frozenset(f"{told}|{' '.join(words[start : start + WORDS])}" for start in starts)


def _sketch(found: Shingles) -> MinHash:
    from datasketch import MinHash

    sketch = MinHash(num_perm=_PERMUTATIONS, seed=1)
    sketch.update_batch([shingle.encode() for shingle in found])
    return sketch


def _texts(value: Any) -> Iterator[str]:
    """The texts in an input, those of past turns too."""
    if isinstance(value, dspy.History):
        value = value.messages
    inner: Iterable[Any] | None = None
    if isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, list | tuple):
        inner = value
    if inner is None:
        yield "" if value is None else str(value)
        return
    for item in inner:
        yield from _texts(item)


def _shortened(example: dspy.Example) -> str:
    text = " | ".join(_texts(dict(example.inputs().items())))
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
