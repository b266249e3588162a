"""T1 to T8, T16: who gets in, and what nobody gets however they ask."""

from __future__ import annotations

import ast
import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app_thread import serving_in_thread
from tests.gateway.access.conftest import Locked
from tests.gateway.access.issuing import issued, keys
from tests.gateway.commanded import free_port, surroundings
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    settings_for,
    wait_until,
)
from tests.gateway.upstream import Script, Upstream

ROOT = Path(__file__).parents[2]
ASK: dict[str, Any] = {"model": "quiz", "messages": [{"role": "user", "content": "q"}]}

WATCHED = """
import sys
reached = open(sys.argv.pop(1), "a", buffering=1)
def watch(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple):
        print(args[1][1], file=reached)
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
        print(event, file=reached)
sys.addaudithook(watch)
from gateway.command import main
try:
    main()
finally:
    print(*{"litellm", "dspy", "mlflow", "torch"} & set(sys.modules), file=reached)
"""


def test_t01_t19_starting_and_answering_reaches_the_engine_and_nobody_else(
    upstream: Upstream, tmp_path: Path
) -> None:
    put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    settings_for(tmp_path, upstream.url)
    port, reached = free_port(), tmp_path / "reached"
    command = [
        sys.executable, "-c", WATCHED, str(reached), "serve", "--config", "smallforge.toml",
        "--port", str(port), "--metrics-port", str(free_port()),
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=tmp_path, env=surroundings(), stderr=subprocess.PIPE) as process:
        try:
            wait_until(lambda: _status(port) == 200, 60)
            reply = httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=ASK)
        finally:
            process.terminate()
            process.wait(20)
    assert reply.status_code == 200
    assert set(reached.read_text().split()) == {upstream.url.rsplit(":", 1)[1]}


def _status(port: int) -> int:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code
    except httpx.TransportError:
        return 0


def raw(gateway: RunningGateway, request: str) -> bytes:
    """What comes back for a request that no ordinary client would send."""
    url = httpx.URL(gateway.url)
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(request.encode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "target",
    ["/v1/models", "http://127.0.0.1/healthz/../v1/models", "//v1/models", "/healthz/../v1/models",
     "/healthz/..;/v1/models", "/healthz/%2e%2e/v1/models", "/healthz#/v1/models", "/v1/models?/healthz"],
)  # fmt: skip
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1/healthz?", "localhost/docs#", "x@localhost", "healthz"]
)
def test_t02_no_host_and_no_path_opens_a_door_without_a_key(locked: Locked, target: str, host: str) -> None:
    answer = raw(locked.gateway, f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    assert answer.split()[1] in (b"400", b"401", b"404") or answer.endswith(b'{"status":"ok"}'), answer
    assert b"secretive" not in answer and b"x-smallforge" not in answer


def test_t02_a_name_that_a_page_pointed_at_this_machine_is_not_answered(gateway: RunningGateway) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost:80@evil.example"):
        answer = raw(gateway, f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        assert answer.split()[1] == b"400" and b"quiz" not in answer


SQL = [
    "' OR '1'='1",
    "sf-0123456789ab-x'; DROP TABLE keys; --",
    "sf-' UNION SELECT * FROM keys--x-y",
    "sf-%-%",
    'sf-"-\\-;',
]


def test_t03_sql_in_a_key_or_a_name_is_text(locked: Locked) -> None:
    for text in SQL:
        for headers in ({"authorization": f"Bearer {text}"}, {"authorization": text}):
            assert httpx.get(f"{locked.gateway.url}/v1/models", headers=headers).status_code == 401
        made = keys(locked.folder, "revoke", text)
        assert made.exit_code == 2 and "No key" in made.output
    fine = httpx.get(f"{locked.gateway.url}/v1/models", headers={"authorization": f"Bearer {locked.anyone}"})
    assert fine.status_code == 200


RUN = (".text", ".execute", ".exec_driver_sql", ".executescript")


def test_t03_no_statement_is_put_together_from_texts() -> None:
    """What goes to a database is built by SQLAlchemy, or is one constant text with its values beside it."""
    calls = [
        (path.relative_to(ROOT), node)
        for path in [*(ROOT / "gateway").rglob("*.py"), *(ROOT / "compiler/traffic").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(RUN)
    ]
    pieced = [
        (path, node.lineno) for path, node in calls for arg in node.args if isinstance(arg, ast.JoinedStr)
    ]
    assert pieced == [] and len(calls) > 10


def test_t04_two_keys_with_the_same_start_never_share_an_entry(locked: Locked) -> None:
    key = issued(locked.folder, "sharing")
    with httpx.Client(base_url=locked.gateway.url) as client:
        for end in range(1, 44, 6):
            forged = key[:-end] + ("A" if key[-end] != "A" else "B") + key[len(key) - end + 1 :]
            sent = [key, forged, key, f"{key}A", key[:-1], f"{key}, {key}"]
            replies = [client.get("/v1/models", headers={"authorization": f"Bearer {one}"}) for one in sent]
            assert [reply.status_code for reply in replies] == [200, 401, 200, 401, 401, 401]


def test_t05_what_the_database_holds_opens_nothing(locked: Locked) -> None:
    key = issued(locked.folder, "hashed")
    secret = key.split("-", 2)[2]
    assert len(secret) * 6 >= 256, "a key has fewer than 256 random bits"
    data = b"".join(file.read_bytes() for file in locked.folder.glob("gateway.db*"))
    assert key.split("-")[1].encode() in data and secret.encode() not in data
    assert secret not in keys(locked.folder, "list", "--all", "--json").output
    with closing(sqlite3.connect(locked.folder / "gateway.db")) as connection:
        (digest,) = connection.execute("SELECT digest FROM api_keys WHERE name = 'hashed'").fetchone()
    stolen = digest.hex() if isinstance(digest, bytes) else digest
    for sent in (stolen, f"sf-{key.split('-')[1]}-{stolen}", f"sf-{key.split('-')[1]}-{stolen[:43]}"):
        headers = {"authorization": f"Bearer {sent}"}
        assert httpx.get(f"{locked.gateway.url}/v1/models", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "path", ["/keys", "/keys/anyone", "/admin/keys", "/config/update", "/metrics", "/debug"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_t06_the_models_port_administers_nothing(locked: Locked, method: str, path: str) -> None:
    headers = {"authorization": f"Bearer {locked.anyone}"}
    reply = httpx.request(method, locked.gateway.url + path, headers=headers, content=b"{}")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_url")


CODE = [
    "{{7*7}}${7*7}#{7*7}<%= 7*7 %>", "{% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}",
    "__import__('os').system('touch {file}')", "!!python/object/apply:os.system ['touch {file}']",
    "file://{file}", "../../../../etc/passwd", "$(touch {file})", "`touch {file}`", "${{jndi:ldap://x/a}}",
]  # fmt: skip


@pytest.mark.parametrize("code", CODE)
def test_t07_code_in_a_request_or_a_reply_stays_text(
    gateway: RunningGateway, upstream: Upstream, tmp_path: Path, code: str
) -> None:
    file = tmp_path / "was-run"
    code = code.replace("{file}", str(file))
    marked = f"[[ ## reasoning ## ]]\n{code}\n[[ ## steps ## ]]\n{code}\n[[ ## answer ## ]]\n{code}\n"
    tool = {"type": "function", "function": {"name": "run", "command": code, "parameters": {"default": code}}}
    for model in ("quiz", "counting"):
        upstream.script = Script(text=marked)
        body = {
            "model": model,
            "messages": [{"role": "user", "content": code}],
            "metadata": {"command": code},
        }
        reply = httpx.post(f"{gateway.url}/v1/chat/completions", json=body)
        assert reply.status_code == (200 if model == "quiz" else 502)
        assert upstream.asked[-1]["messages"][-1]["content"].startswith(f"[[ ## question ## ]]\n{code}\n")
    assert httpx.post(f"{gateway.url}/v1/chat/completions", json={**ASK, "tools": [tool]}).status_code == 400
    assert not file.exists()


@contextmanager
def trap() -> Iterator[tuple[str, list[str]]]:
    """An address that nobody has any reason to connect to, and who did."""
    from aiohttp import web

    visits: list[str] = []

    async def visited(request: web.Request) -> web.Response:
        visits.append(request.path)
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", visited)
    with serving_in_thread(app) as url:
        yield url, visits


def test_t08_no_request_names_where_the_gateway_connects_to(locked: Locked, upstream: Upstream) -> None:
    with trap() as (url, visits):
        aimed = {
            **dict.fromkeys(
                ["api_base", "base_url", "api_key", "proxy", "url", "webhook", "mock_response"], url
            ),
            "headers": {"Host": url},
            "extra_headers": {"x": url},
            "fallbacks": [url],
            "model_list": [{"api_base": url}],
            "litellm_params": {"api_base": url},
        }
        headers = {"authorization": f"Bearer {locked.anyone}", "x-forwarded-host": url, "x-api-base": url}
        for model, path in (
            ("quiz", "chat/completions"),
            ("tiny", "chat/completions"),
            ("quiz", "responses"),
        ):
            body = {**ASK, "model": model, "input": "q", **aimed}
            if path == "responses":
                del body["messages"]
            reply = httpx.post(f"{locked.gateway.url}/v1/{path}", json=body, headers=headers)
            assert reply.status_code in (200, 400), reply.text
        image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"{url}/image"}}]}
        seen = httpx.post(
            f"{locked.gateway.url}/v1/chat/completions", json={**ASK, "messages": [image]}, headers=headers
        )
        assert (seen.status_code, seen.json()["error"]["code"]) == (400, "unsupported_content")
        programs = [body for body in upstream.asked if "api_base" not in body]
        assert programs and url not in json.dumps(programs) and visits == []


SIDE_DOORS = [
    "invocations", "pooling", "pause", "resume", "update_weights", "tokenize", "detokenize", "metrics",
    "load", "version", "collective_rpc", "v1/load_lora_adapter", "inference/v1/generate",
    "v1/chat/completions/render", "v1/chat/completions/../../../pause", "v1/score", "v1/audio/transcriptions",
]  # fmt: skip


@pytest.mark.parametrize("door", SIDE_DOORS)
def test_t16_the_engines_side_doors_are_none_of_the_gateways(
    gateway: RunningGateway, upstream: Upstream, door: str
) -> None:
    body = json.dumps(ASK)
    head = f"POST /{door} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    answer = raw(gateway, f"{head}Connection: close\r\n\r\n{body}")
    assert answer.split()[1] == b"404" and b"unknown_url" in answer
    assert upstream.requests == [] and upstream.raw == []
