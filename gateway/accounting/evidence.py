"""What builds measured of a release, from the evidence beside it. What no build measured is None, never 0."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from programs.errors import ReleaseInvalid
from programs.plain_file import read_plain_file

_log = logging.getLogger(__name__)
_LARGEST_FILE = 32 * 1024 * 1024  # bytes

Record = Mapping[str, Any]
"""A build's own account, as `build.json` holds it."""


@dataclass(frozen=True)
class Score:
    """A mean over `n` held-out examples; `low` and `high` bound it with 95 % confidence."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Measured:
    """Scores of the release and of its program unoptimised; USD per answer of the release and its teacher."""

    score: Score | None = None
    unoptimised: Score | None = None
    usd_per_answer: float | None = None
    teacher_usd_per_answer: float | None = None


def read_measured(release: Path) -> Measured:
    """What the newest build that measured it says, for each of the numbers."""
    records = _build_records(release)
    after, before = _summaries(records, "after"), _summaries(records, "before")
    return Measured(
        score=next(filter(None, map(_score, after)), None),
        unoptimised=next(filter(None, map(_score, before)), None),
        usd_per_answer=_first_usd(after),
        teacher_usd_per_answer=_first_usd([one for record in records for one in _of_teacher(record)]),
    )


def _build_records(release: Path) -> list[Record]:
    """The builds' accounts, newest first; what is damaged counts as empty and never keeps a release back."""
    # Evidence of evaluations has no record of a build.
    home = release / "evidence"
    found = () if home.is_symlink() else home.glob("*/build.json")
    folders = [path.parent for path in found if not path.parent.name.startswith(".")]
    folders = [folder for folder in folders if not folder.is_symlink()]
    newest = sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)
    return [_build_record(folder) for folder in newest]


def _build_record(folder: Path) -> Record:
    """A build's own account if it is as it was written, else nothing."""
    try:
        data = read_plain_file(folder / "build.json", _LARGEST_FILE)
        expected = orjson.loads(read_plain_file(folder / "digests.json", _LARGEST_FILE))["build.json"]
        record = orjson.loads(data)
    except (ReleaseInvalid, OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("no readable evidence in %s: %s", folder, error)
        return {}
    if hashlib.sha256(data).hexdigest() != expected:
        _log.warning("evidence in %s was changed after its build and is not used", folder)
        return {}
    return record if isinstance(record, dict) else {}


def _summaries(records: Sequence[Record], which: str) -> list[Record]:
    scores = [record.get("scores") for record in records]
    summaries = [found.get(which) for found in scores if isinstance(found, dict)]
    return [summary for summary in summaries if isinstance(summary, dict)]


def _of_teacher(record: Record) -> list[Record]:
    """The teacher's summaries: on the test examples, then on the build's first questions."""
    contenders = record.get("contenders")
    known = [one for one in contenders if isinstance(one, dict)] if isinstance(contenders, list) else []
    tested = [one.get("summary") for one in known if one.get("name") == "teacher"]
    return [summary for summary in (*tested, record.get("teacher")) if isinstance(summary, dict)]


def _score(summary: Record) -> Score | None:
    mean, low, high, n = (_number(summary.get(name)) for name in ("mean", "low", "high", "n"))
    if mean is None or low is None or high is None or not n:
        return None
    return Score(mean, low, high, int(n))


def _first_usd(summaries: Sequence[Record]) -> float | None:
    known = (_number(summary.get("usd_per_answer")) for summary in summaries)
    return next((usd for usd in known if usd is not None and usd >= 0), None)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
