"""Tests for the stores of kept answers, all by the same scenarios; Redis is among the integration tests."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.cache.in_memory import InMemory
from gateway.cache.in_sqlite import InSqlite
from gateway.cache.store import AnswerStore, StoreGone
from gateway.stores.opening import open_database

MOST = 4_000


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        self.now += 0.001  # no two entries are of the same moment
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[AnswerStore]:
    stores: dict[str, AnswerStore] = {
        "memory": InMemory(MOST, clock),
        "sqlite": InSqlite(open_database(str(tmp_path / "cache.db")), MOST, clock),
    }
    store = stores[request.param]
    await store.open()
    yield store
    await store.close()


async def kept(store: AnswerStore, *keys: str) -> list[str]:
    return [key for key in keys if await store.get(key) is not None]


async def test_what_was_put_is_got_until_its_time_is_over(store: AnswerStore, clock: Clock) -> None:
    assert await store.get("a") is None
    await store.put("a", b'{"x": "\xc3\xa9"}', 60)
    assert await store.get("a") == b'{"x": "\xc3\xa9"}'
    clock.now += 61
    assert await store.get("a") is None


async def test_putting_again_replaces(store: AnswerStore) -> None:
    await store.put("a", b"1", 60)
    await store.put("a", b"2", 60)
    assert await store.get("a") == b"2"


async def test_the_oldest_make_room(store: AnswerStore) -> None:
    for number in range(12):
        await store.put(f"k{number}", b"x" * 500, 60)
    left = await kept(store, *(f"k{number}" for number in range(12)))
    assert 4 <= len(left) <= 8 and left == [f"k{number}" for number in range(12 - len(left), 12)]


async def test_what_is_larger_than_all_is_not_kept_and_takes_no_ones_place(store: AnswerStore) -> None:
    await store.put("small", b"x", 60)
    await store.put("large", b"x" * (MOST + 1), 60)
    assert await kept(store, "small", "large") == ["small"]


async def test_memory_drops_what_was_used_longest_ago_and_counts_its_bytes(clock: Clock) -> None:
    memory = InMemory(1_000, clock)
    for key in ("a", "b"):
        await memory.put(key, b"x" * 100, 60)
    await memory.get("a")
    await memory.put("c", b"x" * 100, 60)
    assert await kept(memory, "a", "b", "c") == ["a", "c"]
    before = memory.bytes
    await memory.put("c", b"x" * 100, 60)
    assert memory.bytes == before <= 1_000


async def test_sqlite_keeps_them_over_a_restart_and_what_is_over_leaves_the_file(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "cache.db"
    first = InSqlite(open_database(str(path)), MOST, clock)
    await first.open()
    await first.put("short", b"1", 10)
    await first.put("long", b"2", 100)
    await first.close()
    clock.now += 50
    second = InSqlite(open_database(str(path)), MOST, clock)
    await second.open()
    assert await kept(second, "short", "long") == ["long"]
    await second.put("new", b"3", 100)
    await second.close()
    with sqlite3.connect(path) as file:
        assert sorted(key for (key,) in file.execute("SELECT key FROM answers")) == ["long", "new"]
    file.close()


async def test_a_damaged_file_is_told_as_a_store_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    store = InSqlite(open_database(str(path)), MOST)
    await store.open()
    await store.close()
    path.write_bytes(b"no database " * 1000)
    for beside in (Path(f"{path}-wal"), Path(f"{path}-shm")):
        beside.unlink(missing_ok=True)
    again = InSqlite(open_database(str(path)), MOST)
    with pytest.raises(StoreGone):
        await again.get("a")
    await again.close()


async def test_two_processes_may_write_at_once(tmp_path: Path) -> None:
    stores = [InSqlite(open_database(str(tmp_path / "cache.db")), 1_000_000) for _ in range(2)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(stores[n % 2].put(f"k{n}", b"x", 60) for n in range(40)))
    assert len(await kept(stores[0], *(f"k{n}" for n in range(40)))) == 40
    for store in stores:
        await store.close()
