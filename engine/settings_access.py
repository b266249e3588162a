"""Who may ask the gateway and how much a request may bring: what the settings of that must be."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

_POSTGRESQL = ("postgresql", "postgres")


def access_mistakes(database: str) -> Iterator[str]:
    # The URL may hold a password, so no sentence repeats it.
    if not database.strip():
        yield "gateway.database is empty; name a file, or leave it out for 'gateway.db'"
    elif "://" in database and urlsplit(database).scheme not in _POSTGRESQL:
        yield (
            f"gateway.database: {urlsplit(database).scheme!r} is no database that is known; name a file, "
            "or a server as 'postgresql://name@host/database'"
        )
