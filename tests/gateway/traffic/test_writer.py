"""Tests for gateway/traffic/writer.py: a queue that never holds a request up, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.metrics import Metrics
from gateway.stores.database import Database
from gateway.traffic.entry import Entry
from gateway.traffic.metrics import TrafficMetrics
from gateway.traffic.redaction import Redaction
from gateway.traffic.store import TrafficStore
from gateway.traffic.writer import PACE, Pace, TrafficWriter
from tests.gateway.traffic.entries import an_entry, kept


class House:
    """A writer on a real database, and what it counts."""

    def __init__(self, folder: Path, pace: Pace = PACE) -> None:
        self.path = folder / "gateway.db"
        self.metrics = Metrics()
        self.database = Database(str(self.path))
        self.store = TrafficStore(self.database)
        self.writer = TrafficWriter(self.store, Redaction({}), TrafficMetrics(self.metrics), pace)

    def lost(self, reason: str) -> float | None:
        return self.metrics.registry().get_sample_value("gateway_traffic_lost_total", {"reason": reason})

    def written(self) -> float | None:
        return self.metrics.registry().get_sample_value("gateway_traffic_written_total")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    await house.store.open()
    yield house
    await house.database.close()


async def test_what_is_put_is_written_redacted_without_being_asked(house: House) -> None:
    house.writer.start()
    steps = [{"messages": [{"content": "a@b.org"}], "reply": "to c@d.org"}]
    house.writer.put(an_entry(inputs={"question": "Who is a@b.org?"}, steps=steps))
    for _ in range(200):
        await asyncio.sleep(0.02)
        if found := kept(house.path):
            break
    assert found[0]["inputs"] == {"question": "Who is [email]?"}
    assert found[0]["steps"] == [{"messages": [{"content": "[email]"}], "reply": "to [email]"}]
    await house.writer.close()


async def test_closing_writes_all_that_is_left(house: House) -> None:
    house.writer.start()
    for number in range(1_000):
        house.writer.put(an_entry(f"r{number}"))
    await house.writer.close()
    assert len(kept(house.path)) == house.written() == 1_000


async def test_a_full_queue_takes_nothing_more_and_counts_it(tmp_path: Path) -> None:
    size = len(an_entry().texts)
    house = House(tmp_path, replace(PACE, most_bytes=3 * size, largest=2 * size))
    await house.store.open()
    for number in range(5):
        house.writer.put(an_entry(f"r{number}"))
    house.writer.put(an_entry("large", inputs={"question": "q" * 2 * size}))
    await house.writer.close()
    assert [row["response_id"] for row in kept(house.path)] == ["r0", "r1", "r2"]
    assert (house.lost("queue_full"), house.lost("too_large")) == (2, 1)
    house.writer.put(an_entry("later"))
    await house.writer.flush()
    assert len(kept(house.path)) == 4
    await house.database.close()


async def test_a_database_that_is_gone_loses_nothing_that_it_takes_later(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.writer.put(an_entry())
    with pytest.raises(StoreUnavailable):
        await house.writer.flush()
    await house.store.open()
    await house.writer.flush()
    assert len(kept(house.path)) == 1
    await house.database.close()


async def test_what_a_gone_database_never_took_is_counted_at_the_end(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.writer.put(an_entry())
    await house.writer.close()
    assert house.lost("not_written") == 1
    await house.database.close()


async def test_one_entry_that_cant_be_read_keeps_no_other_back(house: House) -> None:
    house.writer.put(Entry(an_entry("broken").row, b"{"))
    house.writer.put(an_entry("half", inputs={"question": "q"}))
    await house.writer.flush()
    assert [row["response_id"] for row in kept(house.path)] == ["half"]
    assert house.lost("unreadable") == 1
