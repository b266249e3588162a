"""Releases as the console shows them: by program, with what was measured and what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson

from compiler.releases import Shelved, list_releases
from compiler.report.charts import Mark, quality_against_cost
from compiler.report.figures import contenders_of
from programs.aliases import Aliases, read_aliases
from programs.errors import ReleaseInvalid

_USD, _TOKENS = "USD per 1,000 answers", "Tokens per answer"


@dataclass(frozen=True)
class Comparison:
    """What the releases and the programs beside them score over what they cost; the best stands first."""

    marks: Sequence[Mark]
    unit: str
    chart: str


@dataclass(frozen=True)
class ProgramShelf:
    """One program's releases, the champion first; `compared` is None where there is nothing to compare."""

    name: str
    releases: Sequence[Shelved]
    compared: Comparison | None
    can_roll_back: bool


def program_shelves(root: Path) -> list[ProgramShelf]:
    """All of them; damaged ones are listed with their problem."""
    return [
        _shelf(root / name, list(releases))
        for name, releases in groupby(list_releases(root), lambda release: release.name.partition("@")[0])
    ]


def build_evidence(home: Path, build_id: str) -> Mapping[str, Any]:
    """What a build measured; nothing where it can't be read."""
    try:
        return dict(orjson.loads((home / "evidence" / build_id / "build.json").read_bytes()))
    except (OSError, ValueError):
        return {}


def _shelf(folder: Path, releases: list[Shelved]) -> ProgramShelf:
    ranks = {("champion",): 0, ("champion", "candidate"): 0, ("candidate",): 1}
    newest_first = sorted(releases, key=lambda one: one.scores.build_id if one.scores else "", reverse=True)
    ordered = sorted(newest_first, key=lambda one: ranks.get(one.aliases, 2))
    return ProgramShelf(folder.name, ordered, _compared(folder, ordered), _can_roll_back(folder))


def _can_roll_back(folder: Path) -> bool:
    try:
        aliases: Aliases = read_aliases(folder)
    except ReleaseInvalid:
        return False
    moves = (move for move in reversed(aliases.moves) if move.alias == "champion")
    return any(move.version == aliases.champion and move.previous for move in moves)


def _compared(folder: Path, releases: Sequence[Shelved]) -> Comparison | None:
    """In USD where all prices are known, else in tokens."""
    measured = list(_measured(folder, releases))
    for unit, cost in ((_USD, _usd), (_TOKENS, _tokens)):
        marks = [
            Mark(name, float(price), summary["mean"], summary["low"], summary["high"], chosen)
            for name, summary, chosen in measured
            if (price := cost(summary)) is not None
        ]
        if marks and len(marks) == len(measured):
            chart = quality_against_cost(marks, unit)
            best_first = sorted(marks, key=lambda mark: -mark.score)
            return None if chart is None else Comparison(best_first, unit, chart)
    return None


def _measured(folder: Path, releases: Sequence[Shelved]) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Every release, and what the first one was measured beside: name, summary, is it the champion."""
    for number, release in enumerate(one for one in releases if one.scores is not None):
        assert release.scores is not None
        version = release.name.partition("@")[2]
        contenders = contenders_of(build_evidence(folder / version, release.scores.build_id))
        if not contenders:
            continue
        *beside, compiled = contenders
        yield (
            release.aliases[0] if release.aliases else version,
            compiled["summary"],
            "champion" in release.aliases,
        )
        if number == 0:
            for one in beside:
                if one["name"] != "champion":
                    yield one["name"], one["summary"], False


def _usd(summary: Mapping[str, Any]) -> float | None:
    usd = summary.get("usd_per_answer")
    return None if usd is None else 1000 * usd


def _tokens(summary: Mapping[str, Any]) -> float | None:
    asked, said = summary.get("prompt_tokens_per_answer"), summary.get("tokens_per_answer")
    return None if asked is None or said is None else asked + said
