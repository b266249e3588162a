"""A gateway's database with a log of sums that were asked, and what was said of the answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from gateway.stores.database import Database
from gateway.traffic.redaction import Redaction
from gateway.traffic.rows import redacted_rows
from gateway.traffic.store import Said, TrafficStore
from programs.traffic import FeedbackKind
from tests.gateway.traffic.entries import an_entry

RELEASE = "sums@0123456789ab"


@dataclass(frozen=True)
class Asked:
    """One request, and what was said of it by kind."""

    question: str
    answer: str
    said: dict[FeedbackKind, Any] = field(default_factory=dict)
    days_old: float = 0.0
    changes: dict[str, Any] = field(default_factory=dict)

    def texts(self) -> dict[str, Any]:
        given = {"inputs": {"question": self.question}}
        return given | {"outputs": [{"reasoning": "I added.", "answer": self.answer}]} | self.changes


def write_log(path: Path, asked: Sequence[Asked], program: str = "sums") -> str:
    """The path of the database, which is made or added to; ids count from what is asked."""

    async def write() -> None:
        database = Database(str(path))
        store = TrafficStore(database)
        await store.open()
        ids = [f"chatcmpl-{time.monotonic_ns()}-{number}" for number in range(len(asked))]
        whose = {"program": program, "model": program, "release": RELEASE}
        entries = [
            an_entry(id, days_old=one.days_old, **whose, **one.texts())
            for id, one in zip(ids, asked, strict=True)
        ]
        await store.add(redacted_rows(entries, Redaction({})))
        for id, one in zip(ids, asked, strict=True):
            for kind, value in one.said.items():
                await store.say(Said(id, kind, orjson.dumps(value).decode(), None, None))
        await database.close()

    asyncio.run(write())
    return str(path)
