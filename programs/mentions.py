"""Whether a text mentions a term, as whole words and whatever its case: one rule for metrics and checks.

Linear in the text's length, because a served program applies it to what a stranger wrote.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# Scripts without spaces between words, or whose words grow by attaching: each character counts alone.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
# A number with its commas and points is one word, so that 500 is not mentioned in 1,500.
_WORD = re.compile(rf"[{_UNSPACED}]|\d+(?:[.,]\d+)+|[^\W{_UNSPACED}]+|[^\w\s]")


def missing_terms(text: str, terms: Iterable[str]) -> list[str]:
    """The terms whose words don't stand in the text one after the other."""
    spaced = _spaced(text)
    return [term for term in terms if _spaced(term) not in spaced]


def has_words(text: str) -> bool:
    """Whether there is anything in the text that could be mentioned."""
    return _WORD.search(text) is not None


def _spaced(text: str) -> str:
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return f" {' '.join(words)} "


def count_words(text: str) -> int:
    """Words without punctuation; in a script without spaces, characters."""
    return sum(word[0].isalnum() or word[0] == "_" for word in _WORD.findall(text))
