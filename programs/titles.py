"""Titles of paragraphs: how several are written in one text, and how many of the right ones were named.

A title never holds `|`: Wikipedia, whose titles HotpotQA's are, doesn't allow it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from programs.comparison import shown
from programs.measuring import Measured
from programs.metrics import FieldMetric

if TYPE_CHECKING:
    import dspy

_AROUND = " \t\"'*-[]"


def joined(titles: Iterable[str]) -> str:
    """Titles as one text, each on the line on which a prompt shows it."""
    return " | ".join(" ".join(title.split()) for title in titles)


def parted(value: object) -> list[str]:
    """The titles of a list, or of a text with `|` or a line break between them."""
    parts = value if isinstance(value, list | tuple) else str(value).replace("\n", "|").split("|")
    return [title for part in parts if (title := str(part).strip(_AROUND))]


def title_recall(field: str, *, good_enough: float = 1.0) -> FieldMetric:
    """The share of the label's titles that the output names; case and spacing don't count.

    A label without titles has none to miss and scores 1.
    """

    def look(example: dspy.Example, predicted: Any) -> Measured:
        wanted = {_key(title): title for title in parted(example[field])}
        named = {_key(title) for title in parted(predicted)}
        missing = [title for key, title in wanted.items() if key not in named]
        if not missing:
            return Measured(1.0)
        lack = f"missing {len(missing)} of {len(wanted)} titles: {', '.join(map(shown, missing))}"
        return Measured(1 - len(missing) / len(wanted), feedback=lack)

    return FieldMetric(f"title_recall({field})", field, look, good_enough, (field,))


def _key(title: str) -> str:
    return " ".join(title.casefold().split())
