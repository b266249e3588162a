"""What an answer would have cost at the teacher that a release was compiled with, from the release's own
evidence: as measured on the test examples, beside the release, or else on the build's first questions.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import orjson

_log = logging.getLogger(__name__)


def teacher_usd_per_answer(release: Path) -> float | None:
    """USD per answer as the newest build measured it; None if no teacher was scored or no price was known."""
    # Evidence of evaluations has no record of a build.
    records = (release / "evidence").glob("*/build.json")
    folders = [path.parent for path in records if not path.parent.name.startswith(".")]
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True):
        record = _build_record(folder)
        for summary in (_tested(record), record.get("teacher")):
            usd = summary.get("usd_per_answer") if isinstance(summary, dict) else None
            if isinstance(usd, int | float) and not isinstance(usd, bool) and usd >= 0:
                return float(usd)
    return None


def _tested(record: dict[str, Any]) -> object:
    """The teacher's summary among the programs that were measured, if it was."""
    contenders = record.get("contenders")
    known = [one for one in contenders if isinstance(one, dict)] if isinstance(contenders, list) else []
    return next((one.get("summary") for one in known if one.get("name") == "teacher"), None)


def _build_record(folder: Path) -> dict[str, Any]:
    """The build's own record, if it is as it was written; evidence never keeps a release from serving."""
    try:
        data = (folder / "build.json").read_bytes()
        expected = orjson.loads((folder / "digests.json").read_bytes())["build.json"]
        record = orjson.loads(data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("no readable evidence in %s: %s", folder, error)
        return {}
    if hashlib.sha256(data).hexdigest() != expected:
        _log.warning("evidence in %s was changed after its build and is not used", folder)
        return {}
    return record if isinstance(record, dict) else {}
