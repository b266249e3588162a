"""From what a gateway was asked to a better release of the same program: on a real engine, and PostgreSQL."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import InternalServerError, OpenAI

from compiler.traffic.log import TrafficLog
from gateway.metrics import Metrics
from gateway.stores.database import Database
from gateway.traffic.metrics import TrafficMetrics
from gateway.traffic.redaction import Redaction
from gateway.traffic.retention import sweep
from gateway.traffic.rows import redacted_rows
from gateway.traffic.store import Said, TrafficStore
from programs.data import read_rows
from programs.tasks.arithmetic import Problem, draw
from tests.gateway.traffic.entries import an_entry
from tests.integration.conftest import House, furnish, running
from tests.integration.postgresql import running_postgresql

DRAWN = [draw(random.Random(seed), 2) for seed in range(90)]
PROBLEMS = [*{problem.question: problem for problem in DRAWN}.values()][:60]
"""Different questions, each with its answer."""


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with running_postgresql() as url:
        yield url


async def test_postgresql_keeps_the_log_as_sqlite_does(postgresql: str) -> None:
    database = Database(postgresql)
    store = TrafficStore(database)
    await store.open()
    entries = [an_entry("old", days_old=9), an_entry("new", inputs={"question": "nul \0 is kept"})]
    for _ in range(2):
        await store.add(redacted_rows(entries, Redaction({})))
    assert not await store.say(Said("new", "score", "0", '"why\\u0000"', None))
    assert await store.say(Said("new", "score", "1", None, None))
    await store.say(Said("old", "label", '"approved"', None, None))
    found = {one.response_id: one for one in TrafficLog(postgresql).exchanges("quiz")}
    assert found["new"].inputs == {"question": "nul \0 is kept"} and found["new"].said == {"score": 1}
    await sweep(store, TrafficMetrics(Metrics()), days=7)
    assert [one.response_id for one in TrafficLog(postgresql).exchanges("quiz", unrated=True)] == ["new"]
    await database.close()


@dataclass(frozen=True)
class Running:
    house: House
    database: str


@pytest.fixture(scope="module")
def running_house(
    postgresql: str, house: House, built: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A gateway that keeps its traffic in PostgreSQL, with releases of its own."""
    assert built
    own = furnish(tmp_path_factory.mktemp("traffic"), house.engine)
    settings = own.folder / "smallforge.toml"
    settings.write_text(f'{settings.read_text()}\ndatabase = "{postgresql}"\n[gateway.traffic]\nlog = true\n')
    shutil.copytree(house.folder / "releases" / "arithmetic", own.folder / "releases" / "arithmetic")
    with running(["gateway", "serve"], own.folder, f"{own.gateway}/readyz", seconds=60):
        yield Running(own, postgresql)


def ask_and_tell(house: House, problem: Problem) -> bool:
    """Asks the question and says what was right or wrong; whether it was right."""
    asked: Any = [{"role": "user", "content": problem.question}]
    with OpenAI(base_url=f"{house.gateway}/v1", api_key="unused", max_retries=0) as client:
        try:
            reply = client.chat.completions.create(model="arithmetic", messages=asked)
            response_id, answer = reply.id, reply.choices[0].message.content
        except InternalServerError as error:
            # What the student wrote is no number; that can be corrected, too.
            response_id, answer = error.response.headers["x-request-id"], None
    right = answer == str(problem.answer)
    told: dict[str, Any] = {"score": 1} if right else {"correction": str(problem.answer)}
    done = httpx.post(f"{house.gateway}/v1/feedback", json={"response_id": response_id, **told})
    assert done.status_code == 200, done.text
    return right


def test_what_users_corrected_and_approved_becomes_the_next_release(running_house: Running) -> None:
    house, count = running_house.house, len(PROBLEMS)
    with ThreadPoolExecutor(8) as users:
        right = sum(users.map(partial(ask_and_tell, house), PROBLEMS))
    told = house.run("compiler", "data", "from-traffic", "--program", "arithmetic", "--out", "rows.jsonl")
    assert f"{count} rows" in told and "of 'arithmetic' in rows.jsonl" in told
    rows = [row.values for row in read_rows(house.folder / "rows.jsonl")]
    assert {row["question"]: row["answer"] for row in rows} == {it.question: it.answer for it in PROBLEMS}
    built = house.run(
        "compiler", "build", "arithmetic", "--data", f"traffic:{running_house.database}",
        "--optimizer", "LabeledFewShot", "--set", "k=4", "--mlflow-uri", "off",
    )  # fmt: skip
    assert "rows are from a gateway's traffic" in built
    version = house.alias("arithmetic", "candidate")
    (file,) = Path(house.folder, "releases/arithmetic", version, "evidence").glob("*/build.json")
    origin = json.loads(file.read_text())["traffic"]["train"]
    counts = {"approved": right, "corrected": count - right}
    assert origin["feedback"] == {kind: number for kind, number in counts.items() if number}
    assert origin["releases"] == {f"arithmetic@{house.alias('arithmetic', 'champion')}": count}
