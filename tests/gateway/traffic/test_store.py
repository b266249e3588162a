"""Tests for gateway/traffic/store.py: the log in SQLite; tests/integration has the same on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.metrics import Metrics
from gateway.stores.database import Database
from gateway.traffic.metrics import TrafficMetrics
from gateway.traffic.redaction import Redaction
from gateway.traffic.retention import sweep
from gateway.traffic.rows import Row, redacted_rows
from gateway.traffic.store import Answered, Said, TrafficStore
from programs.traffic import TABLES
from tests.gateway.traffic.entries import RELEASE, an_entry, kept, said


def rows(*ids: str, days_old: float = 0.0) -> list[Row]:
    return redacted_rows([an_entry(id, days_old=days_old) for id in ids], Redaction({}))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TrafficStore]:
    database = Database(str(tmp_path / "gateway.db"))
    store = TrafficStore(database)
    await store.open()
    yield store
    await database.close()


async def test_the_tables_are_those_that_both_sides_know(store: TrafficStore, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'gateway.db'}")
    for name, table in TABLES.tables.items():
        made = {column["name"]: column["nullable"] for column in sa.inspect(engine).get_columns(name)}
        assert made == {column.name: column.nullable for column in table.columns}
    engine.dispose()


async def test_what_is_added_twice_is_there_once(store: TrafficStore, tmp_path: Path) -> None:
    await store.add(rows("a", "b"))
    await store.add(rows("b", "c"))
    assert [row["response_id"] for row in kept(tmp_path / "gateway.db")] == ["a", "b", "c"]
    assert await store.find("b") == Answered(None, "quiz", RELEASE, "answer")
    assert await store.find("d") is None


async def test_feedback_of_a_kind_takes_the_place_of_what_was_said_before(
    store: TrafficStore, tmp_path: Path
) -> None:
    await store.add(rows("a"))
    assert not await store.say(Said("a", "score", "1", None, "k1"))
    assert not await store.say(Said("a", "label", '"good"', None, "k1"))
    assert await store.say(Said("a", "score", "0.5", '"not so good"', "k1"))
    found = [(one["kind"], one["value"], one["comment"]) for one in said(tmp_path / "gateway.db")]
    assert found == [("label", "good", None), ("score", 0.5, "not so good")]


async def test_what_is_too_old_goes_with_its_feedback(store: TrafficStore, tmp_path: Path) -> None:
    await store.add(rows(*(f"old{number}" for number in range(1_100)), days_old=8))
    await store.add(rows("new", days_old=6))
    await store.say(Said("old7", "score", "1", None, None))
    await store.say(Said("new", "score", "1", None, None))
    metrics = Metrics()
    await sweep(store, TrafficMetrics(metrics), days=7)
    assert [row["response_id"] for row in kept(tmp_path / "gateway.db")] == ["new"]
    assert [one["response_id"] for one in said(tmp_path / "gateway.db")] == ["new"]
    assert metrics.registry().get_sample_value("gateway_traffic_swept_total") == 1_100


async def test_of_what_was_deleted_no_byte_stays_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    database = Database(str(path))
    store = TrafficStore(database)
    await store.open()
    await store.add(
        redacted_rows([an_entry("a", days_old=9, inputs={"question": "remarkable"})], Redaction({}))
    )
    await sweep(store, TrafficMetrics(Metrics()), days=7)
    await database.close()
    # What was not yet in the main file would be in the one beside it.
    files = await asyncio.to_thread(lambda: [file.read_bytes() for file in tmp_path.iterdir()])
    assert files and not any(b"remarkable" in data for data in files)


async def test_workers_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    databases = [Database(str(tmp_path / "gateway.db")) for _ in range(3)]

    async def work(number: int) -> None:
        store = TrafficStore(databases[number])
        await store.open()
        for batch in range(5):
            await store.add(rows(f"{number}-{batch}"))

    await asyncio.gather(*map(work, range(3)))
    for database in databases:
        await database.close()
    assert len(kept(tmp_path / "gateway.db")) == 15
