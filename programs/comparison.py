"""Compares a value with its label, as a score from 0 to 1 and, where it is no match, in words.

Knows nothing of examples, predictions or models.
"""

from __future__ import annotations

import re
import string
from collections import Counter

from programs.numerals import read_number

_SHOWN = 300  # characters of a value in words about it


def shown(value: object) -> str:
    """A value in feedback, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_text(value: object) -> str:
    """Lower case without punctuation, articles and surplus spaces: the SQuAD evaluation's normalisation."""
    text = str(value).lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def same(labelled: object, predicted: object) -> float:
    if isinstance(labelled, str) or isinstance(predicted, str):
        return float(str(labelled).strip() == str(predicted).strip())
    return float(labelled == predicted)


def same_normalised(labelled: object, predicted: object) -> float:
    return float(normalise_text(labelled) == normalise_text(predicted))


def same_number(labelled: object, predicted: object) -> float:
    expected = read_number(labelled)
    return float(expected is not None and expected == read_number(predicted))


def shared_words(labelled: object, predicted: object) -> float:
    """Token F1."""
    gold, said = normalise_text(labelled), normalise_text(predicted)
    # HotpotQA: a wrong yes or no earns nothing for words it happens to share.
    if gold != said and {gold, said} & {"yes", "no", "noanswer"}:
        return 0.0
    expected, given = gold.split(), said.split()
    if not expected or not given:
        return float(expected == given)
    shared = sum((Counter(expected) & Counter(given)).values())
    return 2 * shared / (len(expected) + len(given))


def contains(labelled: object, predicted: object) -> float:
    gold = normalise_text(labelled)
    return float(bool(gold) and f" {gold} " in f" {normalise_text(predicted)} ")


def unlike(labelled: object, predicted: object) -> str:
    """What to say of two values that should be one."""
    return f"expected {shown(labelled)}, got {shown(predicted)}"


def unlike_number(labelled: object, predicted: object) -> str:
    if read_number(labelled) is None:
        return f"its label {shown(labelled)} holds no number"
    if read_number(predicted) is None:
        return f"expected the number in {shown(labelled)}, got no number in {shown(predicted)}"
    return unlike(labelled, predicted)


def unlike_words(labelled: object, predicted: object) -> str:
    gold, said = (Counter(normalise_text(value).split()) for value in (labelled, predicted))
    parts = [unlike(labelled, predicted)]
    for what, words in (("missing words", gold - said), ("needless words", said - gold)):
        if words:
            parts.append(f"{what} {shown(' '.join(words))}")
    return "; ".join(parts)


def lacking(labelled: object, predicted: object) -> str:
    return f"must contain {shown(labelled)}, got {shown(predicted)}"
