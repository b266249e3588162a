"""Rows to train with out of a traffic log: what was corrected is a label, what was approved is one too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from compiler.traffic.log import Exchange
from programs.data import ORIGIN
from programs.release import canonical_json, digest
from programs.traffic import APPROVED, REJECTED

Kind = Literal["corrected", "approved", "unrated"]
Only = Literal["corrected", "scored", "all"]
_TAKEN: Mapping[Only | None, tuple[Kind, ...]] = {
    None: ("corrected", "approved"),
    "corrected": ("corrected",),
    "scored": ("approved",),
    "all": ("corrected", "approved", "unrated"),
}
_RANKS: tuple[Kind, ...] = ("corrected", "approved", "unrated")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """Which of a log's answers become rows: what was said of them, from which score on, how many at most."""

    only: Only | None = None
    min_score: float = 1.0
    limit: int | None = None


class Found(NamedTuple):
    """Rows in the order of their time, how many there are of each kind, and what was left out and why."""

    rows: Sequence[Row]
    kinds: Mapping[str, int]
    left_out: Mapping[str, int]


def example_rows(
    exchanges: Iterable[Exchange], wanted: Wanted, problems: Callable[[Row], Iterable[str]] = lambda row: ()
) -> Found:
    """Rows in the fields of the program, each with where it is from under the name `ORIGIN`.

    Of requests that ask the same, one that was corrected counts more than one that was approved, then the
    newest; `exchanges` come newest first. Rows that have `problems` are left out.
    """
    best: dict[str, tuple[Kind, Row]] = {}
    left_out: Counter[str] = Counter()
    for exchange in exchanges:
        kind = _kind_of(exchange, wanted.min_score)
        if kind is None or kind not in _TAKEN[wanted.only]:
            left_out["rejected or cut" if kind is None else kind] += 1
            continue
        row = _row(exchange, kind)
        if any(True for _ in problems(row)):
            left_out["no longer of the program's types"] += 1
            continue
        asked = digest(canonical_json(exchange.inputs))
        former = best.get(asked)
        if former is not None:
            left_out["asked again"] += 1
        if former is None or _RANKS.index(kind) < _RANKS.index(former[0]):
            best[asked] = (kind, row)
    newest = sorted(best.values(), key=lambda it: str(it[1][ORIGIN]["at"]), reverse=True)
    kept = newest[: wanted.limit]
    left_out["beyond the limit"] += len(newest) - len(kept)
    return Found([row for _, row in reversed(kept)], Counter(kind for kind, _ in kept), +left_out)


def _kind_of(exchange: Exchange, least: float) -> Kind | None:
    """What the exchange is good for; None for nothing: a bad answer without a better one."""
    said = exchange.said
    if "correction" in said:
        return "corrected"
    score, label = said.get("score"), said.get("label")
    if label == REJECTED or (score is not None and score < least):
        return None
    if not exchange.answered or len(exchange.outputs) != 1:
        # Cut; or several answers, of which nobody said which one is meant.
        return None
    return "approved" if label == APPROVED or score is not None else "unrated"


def _row(exchange: Exchange, kind: Kind) -> Row:
    labels = dict(exchange.outputs[0]) if len(exchange.outputs) == 1 and exchange.answered else {}
    if kind == "corrected":
        # What led to a wrong answer is no example of how to come to the right one.
        labels = {name: value for name, value in labels.items() if name not in exchange.reasoning}
        labels |= exchange.said["correction"]
    origin = {
        "release": exchange.release,
        "response_id": exchange.response_id,
        "at": datetime.fromtimestamp(exchange.at, UTC).isoformat(timespec="milliseconds"),
        "feedback": kind,
    }
    if "score" in exchange.said:
        origin["score"] = exchange.said["score"]
    return {**exchange.inputs, **labels, ORIGIN: origin}
