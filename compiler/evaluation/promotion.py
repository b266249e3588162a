"""Judges whether a release may become the champion: better on the same rows, and not worse elsewhere.

Reads scorecards only: those of builds, evaluations and comparisons that lie beside the two releases. Asks no
model and moves no alias.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

from compiler.errors import PromotionRefused
from compiler.evaluation.statistics import TEST_NAMES, chance_of_gain, paired_test
from compiler.releases import find_release, named_for_promotion
from engine.settings import GuardSettings
from programs.aliases import read_aliases
from programs.errors import ReleaseInvalid
from programs.release import verify_evidence

CONFIDENCE = 0.95
GUARDS = tuple(guard.name for guard in fields(GuardSettings))
_SIDE = re.compile(r"-[ab]$")  # a comparison leaves one part of its evidence beside each release


class Row(NamedTuple):
    """One example's answer, as far as a judgement needs it."""

    score: float
    unparseable: bool
    failed: bool
    usd: float | None
    seconds: float | None


@dataclass(frozen=True)
class Scorecard:
    """A release on rows: `keys` say which, in their order, and `session` in which run it was measured."""

    session: str
    at: str
    keys: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Terms:
    """What a promotion has to satisfy."""

    guards: GuardSettings
    confidence: float = CONFIDENCE


def judge_promotion(root: Path, name: str, terms: Terms) -> str:
    """Why the named release may become champion, with the numbers.

    Raises:
        PromotionRefused: as `judge`.
        ReleaseNotFound, ReleaseInvalid: there is none of that name, or it is damaged.
    """
    candidate = find_release(root, named_for_promotion(name))
    champion = read_aliases(candidate.parent).champion
    if champion is None:
        return "the first champion"
    if champion == candidate.name:
        return ""
    return judge(candidate.parent / champion, candidate, terms)


def judge(champion: Path, candidate: Path, terms: Terms) -> str:
    """Why the candidate may replace the champion, with the numbers.

    Raises:
        PromotionRefused: it is not better, or worse where a guard forbids it, or nobody compared the two.
        ReleaseInvalid: evidence was changed or can't be read.
    """
    names = [f"{path.parent.name}@{path.name}" for path in (champion, candidate)]
    pair = _comparable(champion, candidate)
    if pair is None:
        raise PromotionRefused(
            f"{names[1]} is not promoted: no rows were measured with both it and the champion {names[0]}; "
            f"compare them with: compiler compare {names[0]} {names[1]}"
        )
    told, better = _describe(*pair, terms.confidence)
    broken = list(_broken_guards(*pair, terms.guards))
    if not better or broken:
        reasons = "; ".join([told if better else f"not better than the champion {names[0]}: {told}", *broken])
        raise PromotionRefused(
            f"{names[1]} is not promoted: {reasons}; to promote it all the same, add --force --reason WHY"
        )
    return told


def _describe(old: Scorecard, new: Scorecard, confidence: float) -> tuple[str, bool]:
    """The comparison in words, and whether the new one is better with that confidence."""
    before, after = ([row.score for row in card.rows] for card in (old, new))
    test, p = paired_test(before, after), chance_of_gain(before, after)
    told = (
        f"{100 * fmean(after):.1f} % against {100 * fmean(before):.1f} % on the same {test.n} rows, "
        f"{test.won} better and {test.lost} worse, one-sided p {p:.4f} ({TEST_NAMES[test.test]}), at most "
        f"{1 - confidence:.3g} allowed"
    )
    return told, p <= 1 - confidence


def _broken_guards(old: Scorecard, new: Scorecard, guards: GuardSettings) -> Iterator[str]:
    unparseable = [fmean(row.unparseable for row in card.rows) for card in (old, new)]
    rise = unparseable[1] - unparseable[0]
    if rise > guards.max_unparseable_increase + 1e-12:
        yield (
            f"unparseable replies rise from {100 * unparseable[0]:.1f} to {100 * unparseable[1]:.1f} %, at "
            f"most {100 * guards.max_unparseable_increase:.3g} points more are allowed"
        )
    costs = [_cost(card) for card in (old, new)]
    yield from _grown("the cost of an answer", "USD", costs, guards.max_cost_increase)
    seconds = [_latency(card) for card in (old, new)]
    yield from _grown("the median latency", "s", seconds, guards.max_latency_increase)


def _grown(what: str, unit: str, values: list[float | None], most: float | None) -> Iterator[str]:
    """A complaint where a value grew by more than the share `most`, or nobody knows."""
    before, after = values
    if most is None:
        return
    if before is None or after is None:
        yield f"{what} is unknown, and a guard allows it to rise by at most {100 * most:.3g} %"
    elif after > before * (1 + most) + 1e-12:
        grown = f"by {100 * (after / before - 1):.1f} % " if before else ""
        yield (
            f"{what} rises {grown}from {before:.3g} to {after:.3g} {unit}, at most {100 * most:.3g} % more "
            "are allowed"
        )


def _comparable(champion: Path, candidate: Path) -> tuple[Scorecard, Scorecard] | None:
    """Scorecards of both on the same rows: of the same run where there is one, else the newest."""
    pairs = [
        (old, new)
        for new in _scorecards(candidate, champion)
        for old in _scorecards(champion, candidate)
        if old.keys == new.keys
    ]
    return max(pairs, key=lambda pair: (pair[0].session == pair[1].session, _ats(pair)), default=None)


def _ats(pair: tuple[Scorecard, Scorecard]) -> tuple[str, str]:
    return pair[1].at, pair[0].at


def _scorecards(release: Path, other: Path) -> Iterator[Scorecard]:
    """What was measured of a release, by its own evidence and as the champion of the other one's builds."""
    name = f"{release.parent.name}@{release.name}"
    for home in (release, other):
        for evidence_id in verify_evidence(home):
            folder = home / "evidence" / evidence_id
            try:
                yield from _read(folder, name, own=home == release)
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ReleaseInvalid(f"the evidence {str(folder)!r} can't be read: {error}") from error


def _read(folder: Path, name: str, own: bool) -> Iterator[Scorecard]:
    evaluation = folder / "evaluation.json"
    if evaluation.is_file():
        told = json.loads(evaluation.read_bytes())
        if own and told["own_student"]:
            yield from _cards(folder, told, "release")
        return
    told = json.loads((folder / "build.json").read_bytes())
    if own:
        yield from _cards(folder, told, "after")
    elif any(contender.get("release") == name for contender in told.get("contenders", ())):
        yield from _cards(folder, told, "champion")


def _cards(folder: Path, told: Mapping[str, Any], program: str) -> Iterator[Scorecard]:
    path = folder / "scorecard.jsonl"
    if not path.is_file():
        return
    lines = (json.loads(line) for line in path.read_bytes().splitlines())
    found = sorted((line for line in lines if line["program"] == program), key=lambda line: int(line["id"]))
    if not found:
        return
    rows = tuple(
        Row(
            line["score"],
            line["fault"] == "unparseable",
            line["fault"] is not None,
            line["usd"],
            line.get("seconds"),
        )
        for line in found
    )
    keys = tuple(line["example"] for line in found)
    yield Scorecard(_SIDE.sub("", folder.name), str(told.get("at", "")), keys, rows)


def _cost(card: Scorecard) -> float | None:
    """The mean over answers that were paid for; a failure may have cost nothing, an answer has its price."""
    known = [row.usd for row in card.rows if row.usd is not None]
    unknown = any(row.usd is None and not row.failed for row in card.rows)
    return fmean(known) if known and not unknown else None


def _latency(card: Scorecard) -> float | None:
    known = [row.seconds for row in card.rows if row.seconds is not None]
    return median(known) if known else None
