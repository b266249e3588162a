"""`traffic:DATABASE` as the rows of a build: taken out of the log once, into a file that stays as it is.

A log goes on growing, and a build that is resumed must see the rows that it began with.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from compiler.errors import StateNotWritten, TrafficUnreadable
from compiler.traffic.log import TrafficLog
from compiler.traffic.rows import Found, Row, Wanted, example_rows
from programs.data import row_problems
from programs.json_values import write_json
from programs.loading import blamed_on
from programs.program import Program
from programs.release import digest

Say = Callable[[str], None]


def snapshot(database: str, program: Program, folder: Path, name: str | None, say: Say) -> Path:
    """A file of the program's corrected and approved answers; under a `name` that was taken before, the same.

    Raises:
        TrafficUnreadable: the log can't be read, or holds nothing to learn from.
        StateNotWritten: the disk is full or refuses.
    """
    path = folder / f"{name}.jsonl"
    if name is not None and path.is_file():
        return path
    log = TrafficLog(database)
    found = example_rows(log.exchanges(program.name), Wanted(), problems_with(program))
    if not found.rows:
        raise TrafficUnreadable(
            f"the traffic log in {log.shown!r} has no corrected or approved answers of {program.name!r}; "
            "POST /v1/feedback gives them"
        )
    data = as_lines(found)
    path = folder / f"{name or digest(data)[:12]}.jsonl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_bytes(data)
        os.replace(draft, path)
    except OSError as error:
        raise StateNotWritten(f"can't write {str(path)!r}: {error.strerror}") from error
    say(f"{summary(found)} of {program.name!r} in {str(path)!r}")
    return path


def problems_with(program: Program) -> Callable[[Row], Iterable[str]]:
    """What keeps a row from being an example of the program as it is now. Needs dspy."""
    from compiler.rehearsal import fields_needed

    with blamed_on(program):
        needed = fields_needed(program.make_module(), program)
    return lambda row: row_problems(row, needed.inputs, needed.labels)


def as_lines(found: Found) -> bytes:
    return b"".join(write_json(row) + b"\n" for row in found.rows)


def summary(found: Found) -> str:
    """As in "12 rows (5 corrected, 7 approved; left out: 3 asked again)"."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.kinds.items()))
    left_out = ", ".join(f"{count} {why}" for why, count in sorted(found.left_out.items()))
    inside = f"{kinds or 'none'}{f'; left out: {left_out}' if left_out else ''}"
    return f"{len(found.rows)} rows ({inside})"
