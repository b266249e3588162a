"""Tests for gateway/access/gate.py: OpenAI's own client at a gateway that asks for keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AuthenticationError, NotFoundError, OpenAI

from engine.settings import read_settings
from gateway.access.caller import Caller
from gateway.access.gate import Gate
from gateway.access.opening import open_keyring
from gateway.app import create_app
from gateway.errors import KeyRefused, StoreUnavailable
from gateway.stores.opening import Stores
from tests.gateway.access.conftest import Locked
from tests.gateway.access.issuing import issued, keys, told, where_keys_are
from tests.gateway.serving import (
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.upstream import Upstream

OPEN = {"/healthz", "/readyz", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"}
"""Paths that tell nothing of any model."""


def ask(client: OpenAI, model: str = "quiz") -> str | None:
    messages: Any = [{"role": "user", "content": "q"}]
    return client.chat.completions.create(model=model, messages=messages).choices[0].message.content


def test_the_holder_of_a_key_is_answered(locked: Locked) -> None:
    client = locked.client(locked.anyone)
    assert ask(client) == "forty-two"
    assert client.responses.create(model="quiz", input="q").output_text == "forty-two"


@pytest.mark.parametrize(
    "key",
    [
        "sk-no-key-of-ours",
        "sf-0123456789ab-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "' OR '1'='1",
    ],
)
def test_any_other_key_is_an_authentication_error(locked: Locked, key: str) -> None:
    with pytest.raises(AuthenticationError) as found:
        ask(locked.client(key))
    assert (found.value.code, found.value.type) == ("invalid_api_key", "invalid_request_error")
    assert found.value.response.headers["www-authenticate"] == "Bearer"
    assert key not in str(found.value)


def test_the_id_of_a_key_with_another_secret_opens_nothing(locked: Locked) -> None:
    id = locked.anyone.split("-", 2)[1]
    with pytest.raises(AuthenticationError):
        ask(locked.client(f"sf-{id}-{'A' * 43}"))


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic c2Y6eA=="}, {"authorization": "Bearer"}])
def test_a_request_without_a_key_is_told_how_to_send_one(locked: Locked, headers: dict[str, str]) -> None:
    reply = httpx.get(f"{locked.gateway.url}/v1/models", headers=headers)
    assert reply.status_code == 401
    assert "sf-" in reply.json()["error"]["message"]


def test_every_path_but_those_that_tell_nothing_asks_for_a_key(locked: Locked) -> None:
    asked = []
    for method, path in _paths(create_app(locked.settings)):
        reply = httpx.request(method, locked.gateway.url + path.replace("{model:path}", "quiz"))
        if path in OPEN:
            assert reply.status_code == 200
        else:
            assert reply.status_code == 401, f"{method} {path}"
            asked.append(path)
    assert {"/v1/chat/completions", "/v1/responses", "/v1/models", "/v1/feedback"} <= set(asked)


def _paths(routes: Any) -> Iterator[tuple[str, str]]:
    """All of an app, those of its routers too."""
    for route in routes.routes:
        if inner := getattr(route, "original_router", None):
            yield from _paths(inner)
        else:
            yield from ((method, route.path) for method in route.methods - {"HEAD"})


def test_a_model_that_the_key_may_not_ask_does_not_exist_for_it(locked: Locked) -> None:
    client = locked.client(locked.quizzer)
    assert ask(client) == "forty-two"
    for model in ("secretive", "quiz@candidate", "tiny", "nothing"):
        with pytest.raises(NotFoundError) as found:
            ask(client, model)
        assert (found.value.code, found.value.param) == ("model_not_found", "model")
        assert "served are" not in str(found.value)
    with pytest.raises(NotFoundError):
        client.responses.create(model="secretive", input="q")
    with pytest.raises(NotFoundError):
        client.completions.create(model="tiny", prompt="q")


def test_lists_show_only_what_the_key_may_ask(locked: Locked) -> None:
    client = locked.client(locked.quizzer)
    assert [model.id for model in client.models.list()] == ["quiz"]
    everything = {model.id for model in locked.client(locked.anyone).models.list()}
    assert {"quiz", "secretive", "tiny"} <= everything
    for path in ("/v1/models/secretive", "/v1/models/tiny", "/api/v0/models/secretive"):
        headers = {"authorization": f"Bearer {locked.quizzer}"}
        assert httpx.get(locked.gateway.url + path, headers=headers).status_code == 404


def test_a_name_within_a_pattern_that_nothing_has_tells_no_other_names(locked: Locked) -> None:
    client = locked.client(issued(locked.folder, "patterned", "--model", "quiz*"))
    with pytest.raises(NotFoundError) as found:
        ask(client, "quizzical")
    assert "quiz@" in str(found.value) and "secretive" not in str(found.value)


def test_a_revoked_key_is_refused_by_every_worker(locked: Locked) -> None:
    key = issued(locked.folder, "leaving")
    with running_gateway(locked.settings) as other:
        clients = [locked.client(key), OpenAI(base_url=f"{other.url}/v1", api_key=key, max_retries=0)]
        assert [ask(client) for client in clients] == ["forty-two"] * 2
        assert keys(locked.folder, "revoke", "leaving").exit_code == 0
        wait_until(lambda: all(_is_refused(client) for client in clients))


async def test_what_is_known_of_a_key_is_used_for_less_than_five_seconds(tmp_path: Path) -> None:
    (tmp_path / "smallforge.toml").write_text(f"[gateway]\n{where_keys_are(tmp_path)}")
    headers = [(b"authorization", f"Bearer {await asyncio.to_thread(issued, tmp_path, 'leaving')}".encode())]
    gateway, clock = read_settings(tmp_path / "smallforge.toml").gateway, [0.0]
    stores = Stores(gateway.database)
    gate = Gate(open_keyring(gateway, stores), now=lambda: clock[0])
    await gate.open()
    assert isinstance(await gate.admit(headers), Caller)
    await gate.keyring.revoke("leaving")
    clock[0] = 1.9
    await gate.admit(headers)
    clock[0] = 2.1
    first, second = await asyncio.gather(gate.admit(headers), gate.admit(headers), return_exceptions=True)
    await stores.close()
    assert isinstance(first, KeyRefused)
    assert isinstance(second, Caller), "the former answer serves those who come while one is asking"


async def test_a_key_may_outlive_an_outage_of_the_database_by_what_the_operator_wants(tmp_path: Path) -> None:
    (tmp_path / "smallforge.toml").write_text(f"[gateway]\n{where_keys_are(tmp_path)}")
    held, strange = [
        [(b"authorization", f"Bearer {await asyncio.to_thread(issued, tmp_path, name)}".encode())]
        for name in ("held", "strange")
    ]
    gateway, clock, told = read_settings(tmp_path / "smallforge.toml").gateway, [0.0], list[str]()
    stores = Stores(gateway.database)
    keyring = open_keyring(gateway, stores)
    gate = Gate(keyring, now=lambda: clock[0], hold=60.0, unchecked=told.append)
    await gate.open()
    await gate.admit(held)
    _ruin(tmp_path)
    clock[0] = 50.0
    both = await asyncio.gather(
        gate.admit(held), gate.admit(held), gate.admit(strange), return_exceptions=True
    )
    clock[0] = 61.0
    (late,) = await asyncio.gather(gate.admit(held), return_exceptions=True)
    await stores.close()
    assert [type(it) for it in (*both, late)] == [Caller, Caller, StoreUnavailable, StoreUnavailable]
    assert sorted(told) == ["refused", "refused", "served", "served"]


def _ruin(folder: Path) -> None:
    """Leaves a database that can't be asked."""
    for file in folder.glob("gateway.db*"):
        file.write_bytes(b"no database at all")


def _is_refused(client: OpenAI) -> bool:
    try:
        ask(client)
    except AuthenticationError as error:
        return "was revoked" in str(error)
    return False


def test_a_key_is_refused_once_it_has_expired(locked: Locked) -> None:
    client = locked.client(issued(locked.folder, "brief", "--expires", "2s"))
    assert ask(client) == "forty-two"
    time.sleep(2.0)
    with pytest.raises(AuthenticationError, match="has expired"):
        ask(client)


def test_after_a_rotation_both_secrets_hold_until_the_grace_is_over(locked: Locked) -> None:
    former = issued(locked.folder, "turning")
    later = told(locked.folder, "rotate", "turning", "--grace", "2s")["key"]
    assert later != former and later.split("-")[1] == former.split("-")[1]
    assert [ask(locked.client(key)) for key in (former, later)] == ["forty-two"] * 2
    time.sleep(2.0)
    with pytest.raises(AuthenticationError, match="another has taken its place"):
        ask(locked.client(former))
    assert ask(locked.client(later)) == "forty-two"


def test_an_admins_key_asks_no_models(locked: Locked) -> None:
    with pytest.raises(AuthenticationError, match="asks no models"):
        ask(locked.client(issued(locked.folder, "boss", "--admin")))


def test_keys_that_are_all_revoked_leave_the_gateway_shut(upstream: Upstream, tmp_path: Path) -> None:
    put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    settings = settings_for(tmp_path, upstream.url, gateway=where_keys_are(tmp_path))
    issued(tmp_path, "only")
    keys(tmp_path, "revoke", "only")
    with running_gateway(settings) as gateway:
        assert httpx.get(f"{gateway.url}/v1/models").status_code == 401


def test_a_database_without_keys_leaves_it_open(upstream: Upstream, tmp_path: Path) -> None:
    (tmp_path / "gateway.db").touch()
    settings = settings_for(tmp_path, upstream.url, gateway=where_keys_are(tmp_path))
    with running_gateway(settings) as gateway:
        assert httpx.get(f"{gateway.url}/v1/models").status_code == 200


def test_a_database_that_cannot_be_asked_shuts_the_gate_and_says_to_come_again(
    upstream: Upstream, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, upstream.url, gateway=where_keys_are(tmp_path))
    headers = {"authorization": f"Bearer {issued(tmp_path, 'anyone')}"}
    with running_gateway(settings) as gateway:
        _ruin(tmp_path)
        reply = httpx.get(f"{gateway.url}/v1/models", headers=headers)
        assert gateway.metric("gateway_keys_unchecked_total", outcome="refused") == 1
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "database_unavailable")
    assert "x-should-retry" not in reply.headers
