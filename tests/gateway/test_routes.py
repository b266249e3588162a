"""Tests for gateway/routes.py: the paths beside the completions, and requests that are made to hurt."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest
from openai import NotFoundError, OpenAI

from gateway.policy import FIELDS
from tests.gateway.serving import RunningGateway
from tests.gateway.upstream import Upstream


def test_models_lists_every_name(client: OpenAI) -> None:
    models: Any = list(client.models.list())
    names = {model.id for model in models}
    assert {"quiz", "counting", "reading"} <= names
    assert len([name for name in names if name.startswith("quiz@")]) == 1
    assert all(model.object == "model" and model.owned_by == "smallforge" for model in models)


def test_a_model_tells_its_release_inputs_and_fields(client: OpenAI) -> None:
    model: Any = client.models.retrieve("reading")
    about = model.smallforge
    assert about["release"].startswith("reading@") and about["available"] is True
    assert about["inputs"][2] == {"name": "history", "type": "history", "required": False}
    assert about["outputs"] == [{"name": "answer", "type": "str"}]
    assert about["parameters"].keys() == FIELDS.keys()
    assert model.created > 1_700_000_000


def test_a_version_is_a_model_too(client: OpenAI) -> None:
    release = client.models.retrieve("quiz").model_dump()["smallforge"]["release"]
    assert client.models.retrieve(release).id == release


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.models.retrieve("nope")
    assert caught.value.code == "model_not_found"


def test_health_and_readiness(gateway: RunningGateway) -> None:
    assert httpx.get(f"{gateway.url}/healthz").json() == {"status": "ok"}
    ready = httpx.get(f"{gateway.url}/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "students": {}})


def test_the_api_page_describes_the_completions(gateway: RunningGateway) -> None:
    schema = httpx.get(f"{gateway.url}/openapi.json").json()
    assert "post" in schema["paths"]["/v1/chat/completions"]
    assert httpx.get(f"{gateway.url}/docs").status_code == 200


def _raw(gateway: RunningGateway, request: bytes) -> bytes:
    address = httpx.URL(gateway.url)
    with socket.create_connection((address.host, address.port or 80), timeout=5) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        reply = b""
        while piece := connection.recv(65536):
            reply += piece
        return reply


def test_a_host_header_cannot_change_the_path(gateway: RunningGateway) -> None:
    reply = _raw(
        gateway, b"GET /healthz HTTP/1.1\r\nhost: localhost/v1/models?x=\r\nconnection: close\r\n\r\n"
    )
    assert b'"data"' not in reply


def test_a_body_in_many_pieces_is_one_body(gateway: RunningGateway, upstream: Upstream) -> None:
    pieces = (b'{"model": "quiz", "mess', b'ages": [{"role": "user", ', b'"content": "q"}]}')
    reply = httpx.post(f"{gateway.url}/v1/chat/completions", content=iter(pieces))
    assert reply.json()["choices"][0]["message"]["content"] == "forty-two"


def test_many_requests_share_one_connection(gateway: RunningGateway) -> None:
    body = {"model": "quiz", "messages": [{"role": "user", "content": "q"}]}
    with httpx.Client(base_url=gateway.url) as client:
        statuses = [client.post("/v1/chat/completions", json=body).status_code for _ in range(20)]
    assert statuses == [200] * 20


def test_any_content_type_is_read_as_json(gateway: RunningGateway) -> None:
    body = b'{"model": "quiz", "messages": [{"role": "user", "content": "q"}]}'
    reply = httpx.post(
        f"{gateway.url}/v1/chat/completions", content=body, headers={"content-type": "text/plain"}
    )
    assert reply.status_code == 200
