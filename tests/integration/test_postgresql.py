"""The gateway's database on a real PostgreSQL server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from engine.settings import read_settings
from gateway.access.gate import Gate
from gateway.access.key import Wanted
from gateway.access.opening import open_keyring
from gateway.errors import StoreUnavailable
from gateway.stores.database import Database, Migrations
from gateway.stores.opening import Stores
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


@pytest.fixture
def house(postgresql: str, tmp_path: Path) -> Path:
    """A folder whose settings keep keys in the database, under the pepper of all tests here."""
    settings = f'[gateway]\nworkers = 2\ndatabase = "{postgresql}"\npepper = "{"p" * 40}"'
    (tmp_path / "smallforge.toml").write_text(settings)
    return tmp_path


async def test_workers_that_start_at_once_make_the_tables_once(postgresql: str) -> None:
    workers = [Database(postgresql) for _ in range(6)]
    await asyncio.gather(*(worker.migrate(PETS) for worker in workers))
    async with workers[0].reading() as connection:
        names = (await connection.scalars(sa.text("SELECT name FROM pets"))).all()
    for worker in workers:
        await worker.close()
    assert names == ["Rex"]


def test_a_key_in_postgresql_opens_every_worker_and_its_revocation_shuts_them(house: Path) -> None:
    key = issued(house, "frontend")
    with running_upstream() as upstream, serving(house, upstream) as served:
        assert statuses(served, key) == {200}
        assert statuses(served, f"{key[:-1]}?") == {401}
        assert keys(house, "revoke", "frontend").exit_code == 0
        wait_until(lambda: statuses(served, key) == {401})


def statuses(served: Served, key: str) -> set[int]:
    """What connections of their own are told; Linux shares them out among the workers."""
    headers = {"authorization": f"Bearer {key}"}
    return {httpx.get(f"{served.url}/v1/models", headers=headers).status_code for _ in range(16)}


async def test_a_database_that_does_not_answer_shuts_the_gate(house: Path) -> None:
    gateway = read_settings(house / "smallforge.toml").gateway
    stores = Stores(gateway.database)
    keyring = open_keyring(gateway, stores)
    await keyring.open(to_make_keys=True)
    key = (await keyring.create(Wanted("waiting"))).token
    gate = Gate(keyring)
    await gate.open()
    async with stores.database().writing() as connection:
        await connection.execute(sa.text("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(StoreUnavailable, match="takes too long"):
            await gate.admit([(b"authorization", f"Bearer {key}".encode())])
    assert await gate.admit([(b"authorization", f"Bearer {key}".encode())])
    await stores.close()
