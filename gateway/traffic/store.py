"""The traffic log in the gateway's database. Imports SQLAlchemy, so it is imported where a log is kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.stores.database import Database, Migrations
from gateway.traffic.rows import Row
from programs.traffic import FeedbackKind, feedback, traffic

MIGRATIONS = Migrations(
    "traffic",
    [
        [
            """CREATE TABLE traffic (
                response_id TEXT NOT NULL PRIMARY KEY, request_id TEXT NOT NULL, at DOUBLE PRECISION NOT NULL,
                key_id TEXT, model TEXT NOT NULL, program TEXT NOT NULL, release TEXT NOT NULL,
                answer TEXT NOT NULL, reasoning TEXT NOT NULL, inputs TEXT, outputs TEXT NOT NULL,
                complete BOOLEAN NOT NULL, steps TEXT, prompt_tokens BIGINT, completion_tokens BIGINT,
                usd DOUBLE PRECISION, seconds DOUBLE PRECISION NOT NULL, status INTEGER NOT NULL, error TEXT
            )""",
            "CREATE INDEX traffic_by_time ON traffic (at)",
            "CREATE INDEX traffic_by_program ON traffic (program, at)",
            """CREATE TABLE feedback (
                response_id TEXT NOT NULL, kind TEXT NOT NULL, at DOUBLE PRECISION NOT NULL, key_id TEXT,
                value TEXT NOT NULL, comment TEXT, PRIMARY KEY (response_id, kind)
            )""",
        ]
    ],
)
_SWEPT_AT_ONCE = 500  # rows; a sweep lets others write in between


class Answered(NamedTuple):
    """What is known of a response that somebody speaks of."""

    key_id: str | None
    program: str
    release: str
    answer: str


class Said(NamedTuple):
    """One piece of feedback; `value` and `comment` are JSON, because PostgreSQL does not take all texts."""

    response_id: str
    kind: FeedbackKind
    value: str
    comment: str | None
    key_id: str | None


class TrafficStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self) -> None:
        """Makes the tables if there are none. Raises StartFailed."""
        await self._database.migrate(MIGRATIONS)

    async def add(self, rows: Sequence[Row]) -> None:
        """Rows that are there already stay as they are: who could not see an end may say it all again.

        Raises StoreUnavailable.
        """
        statement = self._insert(traffic).on_conflict_do_nothing()
        async with self._database.writing() as connection:
            await connection.execute(statement, rows)

    async def find(self, response_id: str) -> Answered | None:
        """Raises StoreUnavailable."""
        known = sa.select(*(traffic.c[name] for name in Answered._fields))
        async with self._database.reading() as connection:
            found = (await connection.execute(known.where(traffic.c.response_id == response_id))).first()
        return None if found is None else Answered(*found)

    async def say(self, said: Said) -> bool:
        """Keeps feedback in the place of what was said before; gives whether there was any.

        Raises StoreUnavailable.
        """
        place = (feedback.c.response_id == said.response_id) & (feedback.c.kind == said.kind)
        row = {**said._asdict(), "at": time.time()}
        statement = self._insert(feedback).values(row)
        changed = {name: statement.excluded[name] for name in ("at", "key_id", "value", "comment")}
        async with self._database.writing() as connection:
            before = await connection.scalar(sa.select(feedback.c.kind).where(place))
            await connection.execute(
                statement.on_conflict_do_update(index_elements=["response_id", "kind"], set_=changed)
            )
        return before is not None

    async def sweep(self, before: float) -> int:
        """Deletes some of what is older than that, with its feedback; how much. Raises StoreUnavailable."""
        old = sa.select(traffic.c.response_id).where(traffic.c.at < before).limit(_SWEPT_AT_ONCE)
        async with self._database.writing() as connection:
            if self._database.is_sqlite:
                # Else the file would go on holding what was deleted.
                await connection.execute(sa.text("PRAGMA secure_delete = ON"))
            ids = list(await connection.scalars(old))
            for table in (feedback, traffic):
                await connection.execute(sa.delete(table).where(table.c.response_id.in_(ids)))
        return len(ids)

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self._database.is_sqlite else postgresql.insert(table)
