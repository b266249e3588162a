"""Tests for gateway/stores/database.py on SQLite; tests/integration has the same on PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gateway.errors import StartFailed, StoreUnavailable
from gateway.stores.database import Database, Migrations
from gateway.stores.opening import Stores

FIRST = ["CREATE TABLE pets (name TEXT PRIMARY KEY)"]
SECOND = ["ALTER TABLE pets ADD COLUMN legs INTEGER", "UPDATE pets SET legs = 4"]
NEW_PET = sa.text("INSERT INTO pets (name) VALUES (:name)")
LEGS = sa.text("SELECT name, legs FROM pets ORDER BY name")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(str(tmp_path / "deep" / "gateway.db"))
    yield database
    await database.close()


async def test_each_step_is_taken_once_and_keeps_what_is_there(database: Database) -> None:
    await database.migrate(Migrations("pets", [FIRST]))
    async with database.writing() as connection:
        await connection.execute(NEW_PET, {"name": "Rex"})
    for _ in range(2):
        await database.migrate(Migrations("pets", [FIRST, SECOND]))
    async with database.reading() as connection:
        assert [tuple(row) for row in await connection.execute(LEGS)] == [("Rex", 4)]


async def test_a_step_that_fails_leaves_nothing_half_done(database: Database) -> None:
    with pytest.raises(StartFailed, match=r"gateway\.db.*syntax error"):
        await database.migrate(Migrations("pets", [FIRST, ["ALTER TABLE pets ADD legs INTEGER", "NO SQL"]]))
    await database.migrate(Migrations("pets", [FIRST, SECOND]))


async def test_tables_of_a_newer_gateway_are_refused(database: Database) -> None:
    await database.migrate(Migrations("pets", [FIRST, SECOND]))
    with pytest.raises(StartFailed, match="newer Smallforge: its pets are at version 2, this one knows 1"):
        await database.migrate(Migrations("pets", [FIRST]))


async def test_what_a_transaction_did_is_gone_when_it_fails(database: Database) -> None:
    await database.migrate(Migrations("pets", [FIRST, SECOND]))
    with pytest.raises(ZeroDivisionError):
        async with database.writing() as connection:
            await connection.execute(NEW_PET, {"name": "Rex"})
            raise ZeroDivisionError
    async with database.reading() as connection:
        assert (await connection.execute(LEGS)).all() == []


async def test_writers_that_read_first_wait_for_each_other(database: Database) -> None:
    await database.migrate(Migrations("pets", [FIRST, SECOND]))

    async def add(number: int) -> None:
        async with database.writing() as connection:
            seen = len((await connection.execute(LEGS)).all())
            await asyncio.sleep(0.01)
            await connection.execute(NEW_PET, {"name": f"{number} after {seen}"})

    await asyncio.gather(*(add(number) for number in range(8)))
    async with database.reading() as connection:
        names = [row.name for row in await connection.execute(LEGS)]
    assert sorted(name.split(" after ")[1] for name in names) == [str(seen) for seen in range(8)]


async def test_a_rule_of_a_table_is_told_to_its_store_and_all_else_is_an_answer_for_clients(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await database.migrate(Migrations("pets", [FIRST]))
    with pytest.raises(IntegrityError):
        async with database.writing() as connection:
            for _ in range(2):
                await connection.execute(NEW_PET, {"name": "Rex"})
    with caplog.at_level(logging.ERROR), pytest.raises(StoreUnavailable) as found:
        async with database.reading() as connection:
            await connection.execute(sa.text("SELECT secret FROM nowhere"))
    assert found.value.status == 503 and "nowhere" not in found.value.message
    assert "no such table: nowhere" in caplog.text


_STARTING = """
import asyncio, sys
from gateway.stores.database import Database, Migrations
async def start():
    database = Database(sys.argv[1])
    await database.migrate(Migrations("pets", [["CREATE TABLE pets (name TEXT)"]]))
    await database.close()
asyncio.run(start())
"""


async def test_workers_that_start_at_once_make_the_tables_once(tmp_path: Path) -> None:
    place = str(tmp_path / "gateway.db")
    start = (asyncio.create_subprocess_exec(sys.executable, "-c", _STARTING, place) for _ in range(4))
    workers = await asyncio.gather(*start)
    assert [await worker.wait() for worker in workers] == [0] * 4


async def test_what_cannot_be_reached_is_named_without_its_password() -> None:
    database = Database("postgresql://me:hunter2@127.0.0.1:9/gateway")
    with pytest.raises(StartFailed, match=r"postgresql://me:\*\*\*@127") as found:
        await database.migrate(Migrations("pets", [FIRST]))
    await database.close()
    assert "hunter2" not in str(found.value)


async def test_stores_open_one_database_for_all_and_only_when_asked(tmp_path: Path) -> None:
    stores = Stores(str(tmp_path / "gateway.db"))
    assert not stores.exists()
    await stores.close()
    await stores.database().migrate(Migrations("pets", [FIRST]))
    assert stores.exists() and stores.database() is stores.database()
    await stores.close()
