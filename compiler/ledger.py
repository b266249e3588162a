"""Every model call of one build, kept on disk: a resumed build repeats none that was answered.

A call's key is a digest of the model's identity and the whole request; its occurrence number tells sampled
repeats apart. A damaged file is mended when it is opened: what can still be read is kept, and a row that is
not what was written counts as never made. Knows nothing of how calls are made.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson

from compiler.errors import BuildMismatch, StateNotWritten
from compiler.events import STAGES, Role, Stage
from compiler.salvage import PAGE, Row, log_of, rows_of, rows_of_log

LAYOUT = 2  # kept in the file; the first had no number
_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    key TEXT NOT NULL,
    occurrence INTEGER NOT NULL,
    text TEXT NOT NULL,
    reasoning TEXT NOT NULL,
    finish_reason TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cached_tokens INTEGER,
    usd REAL,
    seconds REAL NOT NULL,
    phase TEXT NOT NULL,
    role TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (key, occurrence)
)
"""


@dataclass(frozen=True, slots=True)
class RecordedUsage:
    """Tokens of a call as the engine counted them, and what the call cost; `usd` is None if unknown."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None
    usd: float | None


@dataclass(frozen=True, slots=True)
class RecordedReply:
    """A reply as the ledger keeps it; `seconds` is what the call took when it was made."""

    text: str
    reasoning: str
    finish_reason: str
    model: str
    usage: RecordedUsage | None
    usd: float | None
    seconds: float


class Made(NamedTuple):
    """In which phase of the build a call was made, and of which of its models."""

    phase: Stage = "check"
    role: Role = "student"


FIRST = Made()


@dataclass(frozen=True)
class Totals:
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = 0.0
    """None as soon as one call's cost is unknown."""
    seconds: float = 0.0
    """Sum over the calls, which overlap."""

    def plus(self, reply: RecordedReply) -> Totals:
        usage = reply.usage
        return Totals(
            self.calls + 1,
            self.prompt_tokens + (usage.prompt_tokens if usage else 0),
            self.completion_tokens + (usage.completion_tokens if usage else 0),
            None if self.usd is None or reply.usd is None else self.usd + reply.usd,
            self.seconds + reply.seconds,
        )


def total(parts: Iterable[Totals]) -> Totals:
    """The sum of all; its cost is unknown where that of one is."""
    known = list(parts)
    costs = [part.usd for part in known if part.usd is not None]
    return Totals(
        sum(part.calls for part in known),
        sum(part.prompt_tokens for part in known),
        sum(part.completion_tokens for part in known),
        sum(costs) if len(costs) == len(known) else None,
        sum(part.seconds for part in known),
    )


_COLUMNS = (
    "key, occurrence, text, reasoning, finish_reason, model, prompt_tokens, completion_tokens, cached_tokens,"
    " usd, seconds, phase, role, checksum"
)


# What says nothing of the file itself: the lower byte of SQLite's error codes.
_OUTER_TROUBLE = (
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
)  # fmt: skip


class Ledger:
    """The SQLite file of one build's calls."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it.

        Raises:
            BuildMismatch: it has the layout of another version.
            StateNotWritten: the disk is full or refuses.
        """
        self._path = path
        self.notes: list[str] = []
        """What was found and done when it was opened, as sentences for the user."""
        with self._disk():
            path.parent.mkdir(parents=True, exist_ok=True)
            if not _is_whole(path):
                self.notes.append(_mend(path))
            logged = [row for row in rows_of_log(path) if _is_as_written(row)]
            self._rows = _opened(path)
            self._take_up(logged)

    def find(self, key: str, occurrence: int) -> RecordedReply | None:
        with self._disk():
            row = self._rows.execute(
                f"SELECT {_COLUMNS} FROM calls WHERE key = ? AND occurrence = ?", (key, occurrence)
            ).fetchone()
        return None if row is None or not _is_as_written(row) else _reply(row[2:11])

    def record(self, key: str, occurrence: int, reply: RecordedReply, made: Made = FIRST) -> None:
        usage = reply.usage
        counts = (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) if usage else (None,) * 3
        row = (
            key, occurrence, reply.text, reply.reasoning, reply.finish_reason, reply.model,
            *counts, reply.usd, reply.seconds, made.phase, made.role,
        )  # fmt: skip
        with self._disk():
            _write(self._rows, [(*row, _checksum(row))])

    def _take_up(self, logged: Sequence[Row]) -> None:
        """Puts back what a process that was killed had written, and SQLite does not find for damage."""
        lost = {(row[0], row[1]): row for row in logged if self.find(str(row[0]), int(str(row[1]))) is None}
        if lost:
            self._rows.execute("BEGIN")
            _write(self._rows, lost.values())
            self._rows.execute("COMMIT")
            self.notes.append(
                f"The log of the build's calls beside {str(self._path)!r} was damaged: {len(lost)} calls in "
                "it could still be read and are kept."
            )

    def totals(self) -> Mapping[Made, Totals]:
        """Everything that was ever paid for in this build, by phase and by the model that was asked."""
        with self._disk():
            rows = self._rows.execute(
                "SELECT phase, role, COUNT(*), COUNT(usd), TOTAL(prompt_tokens), TOTAL(completion_tokens),"
                " TOTAL(usd), TOTAL(seconds) FROM calls GROUP BY phase, role ORDER BY MIN(rowid)"
            ).fetchall()
        return {
            Made(phase, role): Totals(calls, int(prompt), int(said), usd if known == calls else None, seconds)
            for phase, role, calls, known, prompt, said, usd, seconds in rows
        }

    def texts(self, limit: int) -> Sequence[str]:
        """Different reply texts, at most `limit`, in an order that the digests make random and repeatable."""
        with self._disk():
            rows = self._rows.execute(
                "SELECT text FROM calls GROUP BY text ORDER BY MIN(key) LIMIT ?", (limit,)
            ).fetchall()
        return [text for (text,) in rows]

    def close(self) -> None:
        self._rows.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StateNotWritten(
                f"can't keep the build's calls in {str(self._path)!r}: {error}; free some space or choose "
                "another folder, then run the build again: what was answered is kept"
            ) from error


def _reply(
    row: tuple[str, str, str, str, int | None, int | None, int | None, float | None, float],
) -> RecordedReply:
    text, reasoning, finish_reason, model, prompt, completion, cached, usd, seconds = row
    usage = None if prompt is None or completion is None else RecordedUsage(prompt, completion, cached, usd)
    return RecordedReply(text, reasoning, finish_reason, model, usage, usd, seconds)


def _opened(path: Path) -> sqlite3.Connection:
    rows = sqlite3.connect(path, isolation_level=None)
    # A damaged text is read as another one, which its checksum does not fit.
    rows.text_factory = partial(str, encoding="utf-8", errors="replace")
    try:
        layout = rows.execute("PRAGMA user_version").fetchone()[0]
        known = rows.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]
        if known and layout != LAYOUT:
            raise BuildMismatch(
                f"the calls in {str(path)!r} were recorded by another version (layout {layout}, this one has "
                f"{LAYOUT}); resume the build with that version, or leave the build id away to begin another"
            )
        rows.execute(f"PRAGMA page_size={PAGE}")
        # A lost power cord may cost the last calls, which are then made again; a lost process costs none.
        rows.execute("PRAGMA journal_mode=WAL")
        rows.execute("PRAGMA synchronous=NORMAL")
        rows.execute(_SCHEMA)
        rows.execute(f"PRAGMA user_version={LAYOUT}")
    except BaseException:
        rows.close()
        raise
    return rows


def _is_whole(path: Path) -> bool:
    """Whether the file can be used; one that is not there can."""
    if not path.exists() or not path.stat().st_size:
        return not log_of(path).exists()
    try:
        # Read only: a damaged file is left as it was found.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as rows:
            found: str = rows.execute("PRAGMA integrity_check(1)").fetchone()[0]
            return found == "ok"
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in _OUTER_TROUBLE:
            raise
        return False


def _mend(path: Path) -> str:
    """Puts what can be read into a new file and keeps the damaged one beside it; says so."""
    calls = {(row[0], row[1]): row for row in rows_of(path) if _is_as_written(row)}
    draft = path.with_name(f".mended-{path.name}")
    draft.unlink(missing_ok=True)
    with closing(_opened(draft)) as rows:
        rows.execute("BEGIN")
        _write(rows, calls.values())
        rows.execute("COMMIT")
        rows.execute("PRAGMA journal_mode=DELETE")
    number = 1
    while (damaged := path.with_name(f"{path.stem}-damaged-{number}{path.suffix}")).exists():
        number += 1
    if log_of(path).exists():
        os.replace(log_of(path), log_of(damaged))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    if path.exists():
        os.replace(path, damaged)
    os.replace(draft, path)
    return (
        f"The build's calls in {str(path)!r} were damaged: {len(calls)} could still be read and are kept, "
        f"others are made again; the damaged file is {damaged.name!r} beside it."
    )


def _write(rows: sqlite3.Connection, calls: Iterable[Sequence[Any]]) -> None:
    rows.executemany(
        f"INSERT OR REPLACE INTO calls ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", calls
    )


def _is_as_written(row: Row) -> bool:
    return len(row) == 14 and row[11] in STAGES and row[13] == _checksum(row[:13])


def _checksum(row: Sequence[object]) -> int:
    return zlib.crc32(orjson.dumps([_exact(value) for value in row]))


def _exact(value: object) -> object:
    """Whole numbers may come back from a column of floats, and the other way round."""
    return str(float(value)) if isinstance(value, int | float) else value
