"""The gateway's database: SQLite in a file, or PostgreSQL by URL, behind the same few calls.

A store (keys, traffic, cache) brings its own tables as numbered migrations and speaks SQLAlchemy Core; only
this module knows which database it is. `opening` imports it where one is needed, and SQLAlchemy with it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.errors import StartFailed, StoreUnavailable
from gateway.stores.opening import is_url

_log = logging.getLogger(__name__)
_PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA foreign_keys = ON")
_BUSY_SECONDS = 10.0  # how long a writer of SQLite waits for the one before it
_CONNECT_SECONDS = 5
_LOCK = 0x534D464F  # PostgreSQL's advisory locks are numbers; this one is "SMFO"
_WRITES = "smallforge_writes"

_applied = sa.table("smallforge_migrations", sa.column("store"), sa.column("number"), sa.column("applied_at"))


@dataclass(frozen=True)
class Migrations:
    """The tables of one store as they came to be. A step is never changed, only followed by another.

    Statements are SQL that SQLite and PostgreSQL both understand.
    """

    store: str
    steps: Sequence[Sequence[str]]


class Database:
    """One database and its connections, which belong to the event loop that first uses them."""

    def __init__(self, where: str) -> None:
        """`where` is the path of a file or the URL of a PostgreSQL server."""
        self.is_sqlite = not is_url(where)
        self.shown = repr(where) if self.is_sqlite else repr(sa.make_url(where).render_as_string())
        """How messages name it: without its password."""
        self._engine = _sqlite(where) if self.is_sqlite else _postgresql(where)

    async def migrate(self, migrations: Migrations) -> None:
        """Brings a store's tables up to date; of several workers that do so at once, one does the work.

        Raises StartFailed when the database can't be reached or was written by a newer gateway.
        """
        try:
            async with self._engine.execution_options(**{_WRITES: True}).begin() as connection:
                await self._migrate(connection, migrations)
        except (SQLAlchemyError, OSError) as error:
            raise StartFailed(f"The database {self.shown} can't be used: {_reason(error)}.") from error

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """A connection for looking things up. Raises StoreUnavailable."""
        with _translated(self.shown):
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction: what it did is there when the block ends, or nothing. Raises StoreUnavailable."""
        with _translated(self.shown):
            async with self._engine.execution_options(**{_WRITES: True}).begin() as connection:
                yield connection

    async def close(self) -> None:
        await self._engine.dispose()

    async def _migrate(self, connection: AsyncConnection, migrations: Migrations) -> None:
        if not self.is_sqlite:
            # SQLite's writing transaction keeps others out by itself.
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        await connection.execute(
            sa.text(
                "CREATE TABLE IF NOT EXISTS smallforge_migrations (store TEXT NOT NULL, "
                "number INTEGER NOT NULL, applied_at DOUBLE PRECISION NOT NULL, PRIMARY KEY (store, number))"
            )
        )
        newest = sa.select(sa.func.max(_applied.c.number)).where(_applied.c.store == migrations.store)
        done = await connection.scalar(newest) or 0
        if done > len(migrations.steps):
            raise StartFailed(
                f"The database {self.shown} was written by a newer Smallforge: its {migrations.store} are at "
                f"version {done}, this one knows {len(migrations.steps)}. Upgrade, or name another database."
            )
        for number, statements in enumerate(migrations.steps[done:], done + 1):
            for statement in statements:
                await connection.execute(sa.text(statement))
            row = {"store": migrations.store, "number": number, "applied_at": time.time()}
            await connection.execute(sa.insert(_applied).values(row))


@contextmanager
def _translated(shown: str) -> Iterator[None]:
    """Turns what the driver raises into the one error that a client may see; the log has the reason."""
    try:
        yield
    except IntegrityError:
        raise  # a store's own rule was broken: the store knows what that means
    except (SQLAlchemyError, OSError) as error:
        _log.error("the database %s can't be asked: %s", shown, _reason(error))
        raise StoreUnavailable("The gateway's database can't be asked now.") from error


def _sqlite(path: str) -> AsyncEngine:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)  # what clients wrote may come to stand in it
    url = sa.URL.create("sqlite+aiosqlite", database=path)
    engine = create_async_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS})

    @sa.event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        # Transactions are begun below; Python's own would begin one late, and fail where it should wait.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A writer takes its place at once: one that began by reading can't wait for another writer.
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(url: str) -> AsyncEngine:
    return create_async_engine(
        sa.make_url(url).set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_pre_ping=True,
        connect_args={"connect_timeout": _CONNECT_SECONDS},
    )


def _reason(error: BaseException) -> str:
    """The driver's own first line, without SQLAlchemy's account of the statement."""
    said = str(getattr(error, "orig", None) or error).strip()
    return (said.splitlines() or [type(error).__name__])[0].rstrip(".")
