"""The held-out examples before and after: what was fixed, what was broken, and why answers fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from compiler.report.text import one_line, plain

Change = Literal["fixed", "broken", "right", "wrong"]
Row = Mapping[str, Any]

MOST_CELLS = 3000  # in the strip
MOST_SHOWN = 25  # of the fixed and of the broken ones
_MOST_INPUTS = 8  # of an example
_BRIEF, _WHOLE = 110, 600  # characters of a text on its line, and when it is unfolded
_TITLES = {"fixed": "Fixed", "broken": "Broken", "right": "Right both times", "wrong": "Wrong both times"}
_GRADED_TITLES = {
    "fixed": "Better",
    "broken": "Worse",
    "right": "Full score both times",
    "wrong": "As before",
}
_FAULTS = {
    "unparseable": "Reply that could not be read",
    "cut": "Reply cut by its token limit",
    "check": "Answer that fails a declared check",
    "too_long": "Prompt that does not fit the window",
    "refused": "Question the engine would not answer",
    "program": "Program that failed",
    "metric": "Metric that failed",
}


@dataclass(frozen=True)
class Shown:
    """One example in full, its texts shortened."""

    question: str
    inputs: Mapping[str, str]
    expected: str
    before: str
    after: str
    whole: Mapping[str, str]
    """Expected, before and after at length."""
    scores: tuple[float, float]


@dataclass(frozen=True)
class Group:
    """All examples that changed in the same way."""

    change: Change
    title: str
    n: int
    cells: int
    """How many are drawn: all of them, or their share where there are too many."""
    shown: Sequence[Shown] = ()


def groups_of(rows: Sequence[Row], question: str | None = None) -> list[Group]:
    """What became of every example that has an answer before and after.

    `question` names the input that an example is called by; without it the last text is taken.
    """
    pairs = _pairs(rows)
    binary = all(side["score"] in (0, 1) for pair in pairs for side in pair)
    titles = _TITLES if binary else _GRADED_TITLES
    found: dict[Change, list[tuple[Row, Row]]] = {"fixed": [], "broken": [], "right": [], "wrong": []}
    for before, after in pairs:
        found[_change(before["score"], after["score"])].append((before, after))
    shrunk = min(1.0, MOST_CELLS / max(len(pairs), 1))
    return [
        Group(
            change,
            titles[change],
            len(members),
            round(len(members) * shrunk),
            [_shown(*pair, question) for pair in members[:MOST_SHOWN]]
            if change in ("fixed", "broken")
            else (),
        )
        for change, members in found.items()
    ]


def faults_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Why examples lost points: how many before and after, and one reason after, else before."""
    counts: dict[str, Counter[str]] = {"before": Counter(), "after": Counter()}
    reasons: dict[str, str] = {}
    for row in sorted((row for row in rows if row["program"] in counts), key=lambda row: row["program"]):
        if row["score"] >= 1:
            continue
        kind = str(row["fault"] or "wrong")
        counts[row["program"]][kind] += 1
        why = row["error"] or row.get("feedback")
        if why and kind not in reasons:
            reasons[kind] = one_line(why, 2 * _BRIEF)
    kinds = [kind for kind in ("wrong", *_FAULTS) if counts["before"][kind] or counts["after"][kind]]
    return [
        {
            "title": _FAULTS.get(kind, "Answer that is wrong, or not all right"),
            "before": counts["before"][kind],
            "after": counts["after"][kind],
            "reason": reasons.get(kind, ""),
        }
        for kind in kinds
    ]


def _pairs(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    by_id: dict[Any, dict[str, Row]] = {}
    for row in rows:
        by_id.setdefault(row["id"], {})[row["program"]] = row
    return [(it["before"], it["after"]) for it in by_id.values() if {"before", "after"} <= it.keys()]


def _change(before: float, after: float) -> Change:
    if after != before:
        return "fixed" if after > before else "broken"
    return "right" if after >= 1 else "wrong"


def _shown(before: Row, after: Row, question: str | None) -> Shown:
    inputs = before.get("inputs") or {}
    expected = before.get("expected") or {}
    texts = [value for value in inputs.values() if isinstance(value, str) and value.strip()]
    sides = {"expected": _sole(expected), "before": _said(before), "after": _said(after)}
    return Shown(
        question=one_line(
            inputs.get(question) or (texts[-1] if texts else inputs or before.get("example")), _BRIEF
        ),
        inputs={
            plain(name, _BRIEF): plain(value, _WHOLE)
            for name, value in [*inputs.items()][:_MOST_INPUTS]
            if value
        },
        expected=one_line(sides["expected"], _BRIEF),
        before=one_line(sides["before"], _BRIEF),
        after=one_line(sides["after"], _BRIEF),
        whole={name: plain(side, _WHOLE) for name, side in sides.items()},
        scores=(before["score"], after["score"]),
    )


def _said(row: Row) -> Any:
    """What the program answered of what was expected; the reason where it answered nothing."""
    output, expected = row.get("output") or {}, row.get("expected") or {}
    asked = {name: output[name] for name in expected if name in output} or output
    if row.get("fault"):
        replies = " / ".join(row.get("replies") or [])
        return f"[{row['fault']}] {row.get('error') or ''} {replies}".strip()
    return _sole(asked)


def _sole(values: Mapping[str, Any]) -> Any:
    return next(iter(values.values())) if len(values) == 1 else dict(values)
