"""How right an answer about scripture is: ids, original words and references count as what they are.

`H430` is `H0430`, `Gen. 1:1` is `Genesis 1:1`, and a term may stand in its own script, with points
or without, or in ours. An empty answer scores 0 by every part.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from programs.comparison import normalise_text, shown
from programs.measuring import Measured
from programs.mentions import has_words, missing_terms
from programs.metrics import FieldMetric, Look, WeightedSum, weighted_sum
from programs.references import Reference, read_references
from programs.scripture import read_ids

if TYPE_CHECKING:
    import dspy

TERM_WEIGHT = 3
"""How many plain words an id, a term or a reference counts as in `theological_match_score`."""
_ID = re.compile(r"(?<![^\W_])[HG]\d{1,5}[A-Za-z]?(?![^\W_])", re.IGNORECASE)


def scripture_score(field: str) -> WeightedSum:
    """Accuracy 4, theological match 3, key terms 2, cross references 1."""
    return weighted_sum(
        (accuracy(field), 4),
        (theological_match_score(field), 3),
        (key_term_accuracy(field), 2),
        (cross_reference_recall(field), 1),
        name="scripture",
    )


def accuracy(field: str) -> FieldMetric:
    """1 where the answer is the label: the same ids and references, where it has none the same words."""

    def look(example: dspy.Example, said: str) -> Measured:
        if any(_same(label, said) for label in _labels(example, field)):
            return Measured(1.0)
        return Measured(0.0, feedback=f"expected {shown(_labels(example, field)[0])}, got {shown(said)}")

    return _metric("accuracy", field, look)


def theological_match_score(field: str) -> FieldMetric:
    """F1 of what answer and label say; an id, an original-language term or a reference weighs three words."""

    def look(example: dspy.Example, said: str) -> Measured:
        forms = _forms(_terms(example, field))
        score = max(_match(label, said, forms) for label in _labels(example, field))
        if score >= 1:
            return Measured(1.0)
        return Measured(score, feedback=f"{score:.2f} of what {shown(_labels(example, field)[0])} says")

    return _metric("theological_match_score", field, look, good_enough=0.8)


def key_term_accuracy(field: str) -> FieldMetric:
    """The share of the row's `key_terms` that the answer names, in any of a term's forms: `elohim/H0430`.

    A row without them has those ids as terms that its label names; one without any has none to miss.
    """

    def look(example: dspy.Example, said: str) -> Measured:
        wanted = _terms(example, field)
        missing = [term for term in wanted if not _mentions(said, _names(term))]
        if not missing:
            return Measured(1.0)
        lack = f"missing {len(missing)} of {len(wanted)} key terms: {', '.join(map(shown, missing))}"
        return Measured(1 - len(missing) / len(wanted), feedback=lack)

    return _metric("key_term_accuracy", field, look)


def cross_reference_recall(field: str) -> FieldMetric:
    """The share of the row's `references`, else of those in its label, that the answer names.

    A range names all its verses.
    """

    def look(example: dspy.Example, said: str) -> Measured:
        wanted, given = _references(example, field), read_references(said)
        missing = [one for one in wanted if not any(other.covers(one) for other in given)]
        if not missing:
            return Measured(1.0)
        lack = f"missing {len(missing)} of {len(wanted)} references: {', '.join(map(str, missing))}"
        return Measured(1 - len(missing) / len(wanted), feedback=lack)

    return _metric("cross_reference_recall", field, look)


def bare(text: str) -> str:
    """Without points and accents, in lower case: `אֱלֹהִים` as `אלהים`, `e.lo.him` and `Elohim` as `elohim`."""
    plain = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return re.sub(r"(?<=[^\W\d_])\.(?=[^\W\d_])", "", plain).casefold()


def _metric(name: str, field: str, look: Look, good_enough: float = 1.0) -> FieldMetric:
    def looked(example: dspy.Example, predicted: Any) -> Measured:
        said = str(predicted)
        return look(example, said) if has_words(said) else Measured(0.0, feedback="it is empty")

    return FieldMetric(name, field, looked, good_enough, (field,))


def _labels(example: dspy.Example, field: str) -> list[str]:
    label = example[field]
    variants = label if isinstance(label, list) else [label, *_texts(example, "answers")]
    return [str(variant) for variant in variants] or [""]


def _terms(example: dspy.Example, field: str) -> list[str]:
    return _texts(example, "key_terms") or read_ids(_labels(example, field)[0])


def _texts(example: dspy.Example, name: str) -> list[str]:
    """A list of texts, or one; anything else, which a row of one's own may hold, is none."""
    given = example.get(name)
    texts = given if isinstance(given, list) else [given]
    return [text for text in texts if isinstance(text, str) and has_words(text)]


def _names(term: str) -> list[str]:
    return [name for name in term.split("/") if has_words(name)]


def _references(example: dspy.Example, field: str) -> list[Reference]:
    given = _texts(example, "references") or [_labels(example, field)[0]]
    return list(dict.fromkeys(one for text in given for one in read_references(text)))


def _mentions(said: str, names: Sequence[str]) -> bool:
    ids = set(read_ids(said))
    return any(set(read_ids(name)) & ids or not missing_terms(bare(said), [bare(name)]) for name in names)


def _same(label: str, said: str) -> bool:
    ids, references = set(read_ids(label)), set(read_references(label))
    if ids or references:
        return (set(read_ids(said)), set(read_references(said))) == (ids, references)
    return normalise_text(label) == normalise_text(_ID.sub("", said))


def _forms(terms: Iterable[str]) -> dict[str, str]:
    """Every form of a term in words, and the one that stands for all of them."""
    worded = [[bare(name) for name in _names(term) if not read_ids(name)] for term in terms]
    return {name: names[0] for names in worded for name in names}


def _match(label: str, said: str, forms: Mapping[str, str]) -> float:
    expected, given = _weights(label, forms), _weights(said, forms)
    total = sum(expected.values()) + sum(given.values())
    # Neither says more than an article.
    return 2 * sum((expected & given).values()) / total if total else 1.0


def _weights(text: str, forms: Mapping[str, str]) -> Counter[str]:
    """Words and what stands for more than a word, each with its weight."""
    counted = Counter({id: TERM_WEIGHT for id in read_ids(text)})
    counted.update({str(one): TERM_WEIGHT for one in read_references(text)})
    for word in normalise_text(bare(_ID.sub(" ", text))).split():
        counted[forms.get(word, word)] += TERM_WEIGHT if word in forms else 1
    return counted
