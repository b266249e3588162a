"""Scores that others published, from `published.toml`: for context, never among what a study measured."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

PATH = Path(__file__).parent / "published.toml"
WARNING = (
    "These numbers are others' and were not measured here. They are not comparable with the table above, nor "
    "with each other where their sources differ: model revision, prompt, demonstrations, decoding, the way "
    "answers are read, rows and, for HotpotQA, what is searched or given all differ."
)
READ = {
    "paper": "in the paper's own text or table",
    "card": "in the model card's or technical report's own table",
    "note": "in someone's summary of the source, not compared with the source itself",
}
"""How a number was read."""


@dataclass(frozen=True)
class Published:
    """One number, in per cent, with all that it takes to look it up."""

    task: str
    who: str
    number: float
    measure: str
    setting: str
    source: str
    read: str


def read_published(path: Path = PATH) -> list[Published]:
    """All rows of the file, in its order."""
    names = {field.name for field in fields(Published)}
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["row"]
    for row in rows:
        assert set(row) == names and row["read"] in READ, f"{path.name}: {row}"
    return [Published(**row) for row in rows]


def published_table(published: Sequence[Published], tasks: Sequence[str]) -> Iterator[str]:
    """Lines of Markdown under a heading of their own; those of the given tasks only."""
    rows = [row for row in published if row.task in tasks]
    yield "### Published elsewhere"
    yield ""
    if not rows:
        yield "No published numbers are kept for these tasks."
        return
    yield WARNING
    yield ""
    yield "| Task | Who | Number, % | Measure | Setting | Source | Read |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| `{row.task}` | {row.who} | {row.number:g} | {row.measure} | {row.setting} | {row.source} "
            f"| {row.read} |"
        )
    yield ""
    yield "Read: " + "; ".join(f"*{name}*, {told}" for name, told in READ.items()) + "."
