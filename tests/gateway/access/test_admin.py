"""Tests for gateway/access/admin.py: keys over HTTP, for admins alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from engine.settings import Settings
from gateway.app import create_app
from gateway.errors import StartFailed
from tests.gateway.access.issuing import issued, where_keys_are
from tests.gateway.commanded import free_port
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
)
from tests.gateway.upstream import Upstream


def administered(folder: Path, upstream: Upstream) -> Settings:
    put_release(folder / "releases", make_plan(), fingerprint_of(upstream.url))
    port = f"admin_port = {free_port()}"
    return settings_for(folder, upstream.url, gateway=f"{where_keys_are(folder)}\n{port}")


@dataclass(frozen=True)
class Office:
    gateway: RunningGateway
    admin: httpx.Client
    client_key: str


@pytest.fixture(scope="module")
def office(_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A gateway with its admins' port, an admin there, and a client's key."""
    folder = tmp_path_factory.mktemp("office")
    settings = administered(folder, _upstream)
    headers = {"authorization": f"Bearer {issued(folder, 'boss', '--admin')}"}
    url = f"http://127.0.0.1:{settings.gateway.admin_port}"
    client_key = issued(folder, "frontend")
    with running_gateway(settings) as gateway, httpx.Client(base_url=url, headers=headers) as admin:
        yield Office(gateway, admin, client_key)


def status(office: Office, key: str) -> int:
    return httpx.get(
        f"{office.gateway.url}/v1/models", headers={"authorization": f"Bearer {key}"}
    ).status_code


def test_an_admin_makes_a_key_that_is_good_at_once(office: Office) -> None:
    made = office.admin.post("/keys", json={"name": "batch", "models": ["quiz"], "rpm": 60})
    assert made.status_code == 201 and made.json()["rpm"] == 60
    assert status(office, made.json()["key"]) == 200
    listed = {key["name"]: key for key in office.admin.get("/keys").json()["keys"]}
    assert listed["batch"]["models"] == ["quiz"] and "key" not in listed["batch"]


def test_an_admin_rotates_and_revokes(office: Office) -> None:
    first = office.admin.post("/keys", json={"name": "passing"}).json()
    second = office.admin.post("/keys/passing/rotate", json={"grace": "0s"}).json()
    assert (status(office, first["key"]), status(office, second["key"])) == (401, 200)
    revoked = office.admin.delete(f"/keys/{first['id']}").json()
    assert revoked["state"] == "revoked"
    assert office.admin.delete("/keys/passing").json()["error"]["code"] == "key_not_found"


@pytest.mark.parametrize("path", ["/keys", "/keys/frontend/rotate"])
def test_nobody_else_does(office: Office, path: str) -> None:
    for headers in ({}, {"authorization": f"Bearer {office.client_key}"}):
        reply = httpx.post(f"{office.admin.base_url}{path}", json={"name": "x"}, headers=headers)
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key")


def test_the_models_port_knows_no_keys(office: Office) -> None:
    headers = dict(office.admin.headers)
    assert httpx.post(f"{office.gateway.url}/keys", json={"name": "x"}, headers=headers).status_code == 404


def test_a_path_that_is_not_there_names_no_page_that_is_not_there_either(office: Office) -> None:
    here, there = office.admin.get("/models"), httpx.get(f"{office.gateway.url}/models")
    assert here.status_code == there.status_code == 404
    assert "/docs" in there.text and "/docs" not in here.text


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": "x", "rpm": 0}, "rpm"),
        ({"name": "x", "colour": 1}, "colour"),
        ({"name": "/"}, "name"),
    ],
)
def test_a_mistake_is_told_by_its_place(office: Office, body: dict[str, object], param: str) -> None:
    reply = office.admin.post("/keys", json=body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


def test_a_name_that_is_taken_is_a_conflict(office: Office) -> None:
    assert office.admin.post("/keys", json={"name": "frontend"}).status_code == 409


def test_another_host_name_is_not_answered(office: Office) -> None:
    assert office.admin.get("/keys", headers={"host": "evil.example"}).status_code == 400


def test_without_an_admin_the_port_does_not_open(upstream: Upstream, tmp_path: Path) -> None:
    app = create_app(administered(tmp_path, upstream))

    async def start() -> None:
        async with app.router.lifespan_context(app):
            pass

    with pytest.raises(StartFailed, match="gateway keys create NAME --admin"):
        asyncio.run(start())
