"""The gateway's database on a real PostgreSQL server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from gateway.stores.database import Database, Migrations
from tests.integration.postgresql import running_postgresql

PETS = Migrations("pets", [["CREATE TABLE pets (name TEXT)"], ["INSERT INTO pets VALUES ('Rex')"]])


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with running_postgresql() as url:
        yield url


async def test_workers_that_start_at_once_make_the_tables_once(postgresql: str) -> None:
    workers = [Database(postgresql) for _ in range(6)]
    await asyncio.gather(*(worker.migrate(PETS) for worker in workers))
    async with workers[0].reading() as connection:
        names = (await connection.scalars(sa.text("SELECT name FROM pets"))).all()
    for worker in workers:
        await worker.close()
    assert names == ["Rex"]
