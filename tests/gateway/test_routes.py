"""Tests for gateway/routes.py: the paths beside the completions, and requests that are made to hurt."""

from __future__ import annotations

import socket

import httpx

from gateway.api_schemas import FIELDS
from gateway.policy import FIELDS_WITH_TOOLS as CHAT
from gateway.responses_policy import RESPONSES_WITH_TOOLS as RESPONSES
from tests.gateway.serving import RunningGateway
from tests.gateway.upstream import Upstream


def test_health_and_readiness(gateway: RunningGateway) -> None:
    assert httpx.get(f"{gateway.url}/healthz").json() == {"status": "ok"}
    ready = httpx.get(f"{gateway.url}/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "students": {}})


def test_the_api_page_describes_every_path(gateway: RunningGateway) -> None:
    paths = httpx.get(f"{gateway.url}/openapi.json").json()["paths"]
    for path in ("/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/embeddings"):
        assert "requestBody" in paths[path]["post"]
    assert {"/v1/models", "/v1/models/{model}", "/api/v0/models", "/healthz", "/readyz"} <= paths.keys()
    assert httpx.get(f"{gateway.url}/docs").status_code == 200


def test_the_api_page_says_of_every_path_what_it_answers(gateway: RunningGateway) -> None:
    page = httpx.get(f"{gateway.url}/openapi.json").json()
    for operation in (operation for path in page["paths"].values() for operation in path.values()):
        for response in operation["responses"].values():
            name = response["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
            assert name in page["components"]["schemas"]
        assert "422" not in operation["responses"]


def test_the_api_page_knows_the_type_of_every_field_that_is_applied() -> None:
    applied = {name for fields in (CHAT, RESPONSES) for name, it in fields.items() if it.treatment == "apply"}
    assert applied == {"model", *FIELDS}


def test_a_path_asked_by_a_wrong_method_names_the_right_ones(gateway: RunningGateway) -> None:
    for path, allowed in (("/v1/models", "GET"), ("/v1/chat/completions", "POST")):
        reply = httpx.request("PATCH", gateway.url + path)
        assert (reply.status_code, reply.headers["allow"]) == (405, allowed)


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
