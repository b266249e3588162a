"""The rows of the reliability table, and the file that keeps each as it was measured last.

A row has its own date and machine: what takes an hour is not measured again with what takes a minute.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.gateway_stand import RESULTS, Verdict, machine

NAME = "reliability"


@dataclass(frozen=True)
class Row:
    """What happens and what is lost, in words, and the numbers behind them; `details` go below the table.

    `remark` is what one should know of the machine at that time.
    """

    what: str
    lost: str
    numbers: Mapping[str, Any] | Sequence[Any]
    verdicts: Sequence[Verdict]
    details: str = ""
    remark: str = ""
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    machine: Mapping[str, Any] = field(default_factory=machine)

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Row:
        return cls(**{**kept, "verdicts": [Verdict(**verdict) for verdict in kept["verdicts"]]})


def kept_rows(folder: Path = RESULTS) -> dict[str, Row]:
    """The rows of the newest result, by name; none where there is no result."""
    found = sorted(folder.glob(f"*-{NAME}.json"))
    rows = json.loads(found[-1].read_text())["rows"] if found else {}
    return {name: Row.read(row) for name, row in rows.items()}


def keep(rows: Mapping[str, Row], folder: Path = RESULTS) -> Path:
    """Writes the result of the day."""
    path = folder / f"{datetime.now(UTC):%Y-%m-%d}-{NAME}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"rows": {name: asdict(row) for name, row in rows.items()}}, indent=2) + "\n")
    return path


def table(rows: Iterable[Row]) -> str:
    """Markdown, for the page and for the eye."""
    shown = list(rows)
    lines = ["| What happens | What is lost | Measured |", "|---|---|---|"]
    lines += [f"| {row.what} | {row.lost} | {_measured(row)} |" for row in shown]
    return "\n".join([*lines, *(f"\n{row.details}" for row in shown if row.details)]) + "\n"


def _measured(row: Row) -> str:
    return f"{row.date[:10]}, {row.remark}" if row.remark else row.date[:10]
