"""Who has looked at which test examples: a number that grows is a reason for new ones.

.smallforge/looks.sqlite has one row for each build, evaluation or comparison and each set of test examples it
asked. A set is known by its rows with their labels, in their order: other rows or another order are another.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from compiler.errors import StateNotWritten
from compiler.events import Look


def record_look(state: Path, test: str, by: str, program: str) -> tuple[Look, ...]:
    """Notes that `by` is about to see the test examples; returns who else had, oldest first.

    Raises:
        StateNotWritten: the disk is full or refuses.
    """
    path = state / "looks.sqlite"
    try:
        state.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as looks, looks:
            looks.execute("BEGIN IMMEDIATE")
            looks.execute(
                "CREATE TABLE IF NOT EXISTS looks"
                " (test TEXT, build TEXT, program TEXT, at TEXT, PRIMARY KEY (test, build))"
            )
            earlier = looks.execute(
                "SELECT program, build, at FROM looks WHERE test = ? AND build != ? ORDER BY at, rowid",
                (test, by),
            ).fetchall()
            looks.execute(
                "INSERT OR IGNORE INTO looks VALUES (?, ?, ?, ?)",
                (test, by, program, datetime.now(UTC).isoformat(timespec="seconds")),
            )
    except (sqlite3.Error, OSError) as error:
        raise StateNotWritten(
            f"can't note the look at the test examples in {str(path)!r}: {error}"
        ) from error
    return tuple(Look(*row) for row in earlier)


def describe_looks(looks: tuple[Look, ...]) -> str:
    """How often each program had been measured on these rows, and when first and last."""
    if not looks:
        return "These test rows were not looked at before."
    programs = dict.fromkeys(look.program for look in looks)
    told = []
    for program in programs:
        days = [look.at[:10] for look in looks if look.program == program]
        when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
        told.append(f"{program} {len(days)} ({when})")
    times = "once" if len(looks) == 1 else f"{len(looks)} times"
    return f"These test rows were looked at {times} before: {', '.join(told)}."
