"""Where the rows of a file come from, as the evidence of a build tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from programs.data import origin_of, read_rows
from programs.release import canonical_json, digest


@dataclass(frozen=True)
class Provenance:
    """Of rows from a gateway's traffic: how many by what was said, from when to when, of which releases.

    `digest` is over the rows as they were read, with the id of each response.
    """

    rows: int
    feedback: Mapping[str, int]
    first: str
    last: str
    releases: Mapping[str, int]
    digest: str

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.feedback.items()))
        return f"{self.rows} rows are from a gateway's traffic ({kinds}), of {self.first} to {self.last}."


def provenance_of(path: Path) -> Provenance | None:
    """None for a file without rows from traffic. Raises DataInvalid."""
    rows = [row.values for row in read_rows(path)]
    origins = [origin for row in rows if (origin := origin_of(row)) is not None]
    if not origins:
        return None
    times = sorted(str(origin.get("at")) for origin in origins)
    return Provenance(
        rows=len(origins),
        feedback=dict(Counter(str(origin.get("feedback")) for origin in origins)),
        first=times[0],
        last=times[-1],
        releases=dict(Counter(str(origin.get("release")) for origin in origins)),
        digest=digest(canonical_json([row for row in rows if origin_of(row) is not None])),
    )
