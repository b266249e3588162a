"""Opens the gateway's database when the first part of the gateway needs it, for all parts alike.

Without one that does, SQLAlchemy is never imported and no file is made.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import StartFailed

if TYPE_CHECKING:
    from gateway.stores.database import Database


class Stores:
    """The database of one gateway process, whose connections stay open until `close`."""

    def __init__(self, where: str) -> None:
        """`where` is the path of a file of SQLite or the URL of a PostgreSQL server."""
        self._where = where
        self._database: Database | None = None

    def exists(self) -> bool:
        """Whether something may have been kept there; of a server that can't be known before it is asked."""
        return is_url(self._where) or Path(self._where).exists()

    def database(self) -> Database:
        """The database, opened if it was not. Raises StartFailed without the libraries."""
        if self._database is None:
            self._database = open_database(self._where)
        return self._database

    async def close(self) -> None:
        if self._database is not None:
            await self._database.close()


def open_database(where: str) -> Database:
    """Raises StartFailed without the libraries."""
    try:
        from gateway.stores.database import Database
    except ImportError as error:
        raise StartFailed(
            "The gateway's database needs libraries that are missing: pip install 'smallforge[stores]'."
        ) from error
    return Database(where)


def is_url(where: str) -> bool:
    return "://" in where
