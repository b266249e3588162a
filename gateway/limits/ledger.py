"""What was spent of budgets, kept in the gateway's database: a restart forgets none of it.

Only for a process that counts by itself; a Redis keeps its own. What is spent is written once a second, so
that much is lost when the process is killed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress

import sqlalchemy as sa

from gateway.errors import StoreUnavailable
from gateway.limits.in_process import Spent
from gateway.stores.database import Database, Migrations

_log = logging.getLogger(__name__)
_EVERY = 1.0

MIGRATIONS = Migrations(
    "budgets",
    [
        [
            "CREATE TABLE smallforge_spent (counter TEXT NOT NULL, period TEXT NOT NULL, "
            "usd DOUBLE PRECISION NOT NULL, PRIMARY KEY (counter, period))"
        ]
    ],
)
_ADD = sa.text(
    "INSERT INTO smallforge_spent (counter, period, usd) VALUES (:counter, :period, :usd) "
    "ON CONFLICT (counter, period) DO UPDATE SET usd = smallforge_spent.usd + excluded.usd"
)
_OF_PERIODS = sa.text(
    "SELECT counter, period, usd FROM smallforge_spent WHERE period IN :periods"
).bindparams(sa.bindparam("periods", expanding=True))


class Ledger:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._new: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._writer: asyncio.Task[None] | None = None

    async def open(self, windows: Sequence[str]) -> Mapping[str, Spent]:
        """What is spent already in these windows, by counter. Raises StartFailed and StoreUnavailable."""
        await self._database.migrate(MIGRATIONS)
        async with self._database.reading() as connection:
            rows = await connection.execute(_OF_PERIODS, {"periods": list(windows)})
            return {counter: Spent(period, usd) for counter, period, usd in rows}

    def add(self, counter: str, window: str, usd: float) -> None:
        if usd:
            self._new[counter, window] += usd
            self._writer = self._writer or asyncio.create_task(self._keep_writing(), name="budgets")

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            with suppress(asyncio.CancelledError):
                await self._writer
        with suppress(StoreUnavailable):
            await self._write()

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            with suppress(StoreUnavailable):  # told in the log by the database; it is tried again
                await self._write()

    async def _write(self) -> None:
        """Adds what is new; what could not be written stays new."""
        writing, self._new = self._new, defaultdict(float)
        try:
            rows = [
                {"counter": name, "period": window, "usd": usd} for (name, window), usd in writing.items()
            ]
            if rows:
                async with self._database.writing() as connection:
                    await connection.execute(_ADD, rows)
        except BaseException:
            for place, usd in writing.items():
                self._new[place] += usd
            raise
