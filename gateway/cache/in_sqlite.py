"""Answers in a file of SQLite: they outlive the gateway, and all workers of a machine share them."""

from __future__ import annotations

from collections.abc import Callable
from time import time

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.cache.store import StoreGone
from gateway.errors import StoreUnavailable
from gateway.stores.database import Database, Migrations

MIGRATIONS = Migrations(
    "answers",
    [
        [
            "CREATE TABLE answers (key TEXT PRIMARY KEY, value TEXT NOT NULL, bytes INTEGER NOT NULL, "
            "written DOUBLE PRECISION NOT NULL, until DOUBLE PRECISION NOT NULL)",
            "CREATE INDEX answers_written ON answers (written)",
        ]
    ],
)
_answers = sa.table("answers", *(sa.column(name) for name in ("key", "value", "bytes", "written", "until")))
_SWEEPS = 20  # times that what is over is dropped while as much is written as may be kept


class InSqlite:
    """Drops what was written longest ago when it holds more than `max_bytes`."""

    def __init__(self, database: Database, max_bytes: int, clock: Callable[[], float] = time) -> None:
        self._database = database
        self._max_bytes = max_bytes
        self._clock = clock
        # What the file holds from before is not known yet.
        self._unswept = max_bytes

    async def open(self) -> None:
        await self._database.migrate(MIGRATIONS)

    async def get(self, key: str) -> bytes | None:
        wanted = sa.select(_answers.c.value).where(_answers.c.key == key, _answers.c.until > self._clock())
        try:
            async with self._database.reading() as connection:
                found = await connection.scalar(wanted)
        except StoreUnavailable as error:
            raise StoreGone(str(error)) from error
        return None if found is None else str(found).encode()

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        if len(value) > self._max_bytes:
            return
        now = self._clock()
        row = {
            "key": key,
            "value": value.decode(),
            "bytes": len(value),
            "written": now,
            "until": now + seconds,
        }
        try:
            async with self._database.writing() as connection:
                await connection.execute(sa.delete(_answers).where(_answers.c.key == key))
                await connection.execute(sa.insert(_answers).values(row))
                self._unswept += len(value)
                if self._unswept >= self._max_bytes / _SWEEPS:
                    await self._sweep(connection, now)
                    self._unswept = 0
        except StoreUnavailable as error:
            raise StoreGone(str(error)) from error

    async def close(self) -> None:
        await self._database.close()

    async def _sweep(self, connection: AsyncConnection, now: float) -> None:
        """Drops what is over, then the oldest until the rest fits."""
        await connection.execute(sa.delete(_answers).where(_answers.c.until <= now))
        newer = sa.func.sum(_answers.c.bytes).over(order_by=(_answers.c.written.desc(), _answers.c.key))
        counted = sa.select(_answers.c.key, newer.label("newer")).subquery()
        too_old = sa.select(counted.c.key).where(counted.c.newer > self._max_bytes)
        await connection.execute(sa.delete(_answers).where(_answers.c.key.in_(too_old)))
