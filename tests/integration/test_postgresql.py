"""The gateway's database on a real PostgreSQL server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from gateway.stores.database import Database, Migrations
from tests.gateway.access.issuing import issued, keys
from tests.gateway.commanded import Served, serving
from tests.gateway.serving import wait_until
from tests.gateway.upstream import running_upstream
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


def test_a_key_in_postgresql_opens_every_worker_and_its_revocation_shuts_them(
    postgresql: str, tmp_path: Path
) -> None:
    lines = (
        "[gateway]",
        f'database = "{postgresql}"',
        f'pepper_file = "{tmp_path / "pepper"}"',
        "workers = 2",
    )
    (tmp_path / "smallforge.toml").write_text("\n".join(lines))
    key = issued(tmp_path, "frontend")
    with running_upstream() as upstream, serving(tmp_path, upstream) as served:
        assert statuses(served, key) == {200}
        assert statuses(served, f"{key[:-1]}?") == {401}
        assert keys(tmp_path, "revoke", "frontend").exit_code == 0
        wait_until(lambda: statuses(served, key) == {401})


def statuses(served: Served, key: str) -> set[int]:
    """What connections of their own are told; Linux shares them out among the workers."""
    headers = {"authorization": f"Bearer {key}"}
    return {httpx.get(f"{served.url}/v1/models", headers=headers).status_code for _ in range(16)}
