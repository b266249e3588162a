"""The 40/30/30 score of a teaching answer: what it uses of the context, how it teaches, how long it is.

It counts words. It can't tell whether an answer is true, and a string of the right words scores well; that is
why `RUBRIC` is there to be asked of a judge beside it.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from programs.comparison import shown
from programs.measuring import Measured
from programs.mentions import has_words, missing_terms
from programs.metrics import FieldMetric, WeightedSum, weighted_sum
from programs.text_metrics import length_ratio, marker_words

if TYPE_CHECKING:
    import dspy

RUBRIC = """\
The answer teaches the student who asked.
5: It is true, meets what this student asked or got wrong, uses the context, explains step by step in words
for the grade if one is given, and leads the student on to think, without doing what the student should do.
3: It is true but general, or states facts without helping the student to understand them.
1: It is false, beside the question or empty, or strings words and teaching phrases together without sense.
How many teaching phrases there are, and how long it is, counts for nothing."""

MARKERS = (
    "for example", "for instance", "such as", "imagine", "suppose", "think of", "think about",
    "because", "therefore", "that is why", "first", "then", "next", "step", "let's", "let’s", "try",
    "remember", "notice", "look at", "can you", "why", "?",
)  # fmt: skip
ENOUGH_MARKERS = 3
MOST_TERMS, ENOUGH_TERMS = 12, 4
LEAST_LETTERS = 4  # of a critical term; numbers may be shorter

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_SENTENCE = re.compile(r"[.!?…。！？؟।]+(?:\s|$)|\n+")
_LINES = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s+\S", re.MULTILINE)
_QUESTION = re.compile(r"[?？؟]")
_PLAIN_WORDS = frozenset(
    _WORD.findall(
        "about above after again against also another because been before being below between both came "
        "come could does doing done down each else even every from further gave give goes have having "
        "here hers into itself just know like made make many more most much must need once only other "
        "ours over same says shall should some such take tell than that their them then there these they "
        "this those through time under until upon used uses using very want well were what when where "
        "which while whom whose will with within without would your yours student teacher problem "
        "solution history question answer "
    )
)


def teaching_score(response: str, context: str, otherwise: str) -> WeightedSum:
    """40 for the context, 30 for teaching elements, 30 for the length; the names are those of fields.

    Without a context the critical terms are those of the field `otherwise`.
    """
    elements = weighted_sum(
        (marker_words(response, *MARKERS, enough=ENOUGH_MARKERS), 2),
        (structure(response), 1),
        name=f"teaching_elements({response})",
    )
    return weighted_sum(
        (context_use(response, context, otherwise), 40),
        (elements, 30),
        (length_ratio(response, low=0.5, high=1.5), 30),
        name="teaching 40/30/30",
        good_enough=0.7,
    )


def context_use(response: str, context: str, otherwise: str) -> FieldMetric:
    """How many of the critical terms the response uses; four, or all where there are fewer, are enough."""

    def look(example: dspy.Example, predicted: Any) -> Measured:
        terms = _own_terms(example) or critical_terms_of(
            str(example.get(context) or example.get(otherwise) or "")
        )
        unused = [term for term in terms if not _mentions(str(predicted), term)]
        wanted, used = min(ENOUGH_TERMS, len(terms)), len(terms) - len(unused)
        if used >= wanted:
            return Measured(1.0)
        lack = (
            f"uses {used} of the {wanted} critical terms it should; not used: {', '.join(map(shown, unused))}"
        )
        return Measured(used / wanted, feedback=lack)

    return FieldMetric(f"context_use({response})", response, look)


def structure(response: str) -> FieldMetric:
    """Half for more than one sentence, half for a question to the student or steps in lines of their own."""

    def look(example: dspy.Example, predicted: Any) -> Measured:
        text = str(predicted)
        sentences = [part for part in _SENTENCE.split(text) if has_words(part)]
        asks = bool(_QUESTION.search(text)) or len(_LINES.findall(text)) > 1
        lacks = [] if len(sentences) > 1 else ["it is one sentence"]
        lacks += [] if asks else ["it neither asks the student anything nor lists steps"]
        return Measured(1 - len(lacks) / 2, feedback="; ".join(lacks))

    return FieldMetric(f"structure({response})", response, look)


def critical_terms_of(text: str) -> list[str]:
    """The words that a text says most often, of equals those it says first; common English words aside."""
    counts = Counter(
        word
        for word in _WORD.findall(text.casefold())
        if word[0].isdigit() or (len(word) >= LEAST_LETTERS and word not in _PLAIN_WORDS)
    )
    return [word for word, _ in counts.most_common(MOST_TERMS)]


def _own_terms(example: dspy.Example) -> list[str]:
    """Those that the row names itself, as a list `key_terms`."""
    given = example.get("key_terms")
    return [str(term) for term in given if has_words(str(term))] if isinstance(given, list) else []


def _mentions(text: str, term: str) -> bool:
    forms = [term, f"{term}s", term.removesuffix("s")]
    return len(missing_terms(text, forms)) < len(forms)
