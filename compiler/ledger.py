"""Every model call of one build, kept on disk: a resumed build repeats none that was answered.

A call's key is a digest of the model's identity and the whole request; its occurrence number tells sampled
repeats apart. Knows nothing of how calls are made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from compiler.errors import StateNotWritten
from compiler.events import Role, Stage

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


class Ledger:
    """The SQLite file of one build's calls."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._disk():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._rows = sqlite3.connect(path, isolation_level=None)
            # A lost power cord may cost the last calls, which are then made again; a lost process costs none.
            self._rows.execute("PRAGMA journal_mode=WAL")
            self._rows.execute("PRAGMA synchronous=NORMAL")
            self._rows.execute(_SCHEMA)

    def find(self, key: str, occurrence: int) -> RecordedReply | None:
        with self._disk():
            row = self._rows.execute(
                "SELECT text, reasoning, finish_reason, model, prompt_tokens, completion_tokens,"
                " cached_tokens, usd, seconds FROM calls WHERE key = ? AND occurrence = ?",
                (key, occurrence),
            ).fetchone()
        return None if row is None else _reply(row)

    def record(self, key: str, occurrence: int, reply: RecordedReply, made: Made = FIRST) -> None:
        usage = reply.usage
        counts = (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) if usage else (None,) * 3
        with self._disk():
            self._rows.execute(
                "INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key, occurrence, reply.text, reply.reasoning, reply.finish_reason, reply.model,
                    *counts, reply.usd, reply.seconds, made.phase, made.role,
                ),
            )  # fmt: skip

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
