"""T12: known secrets go in at every place where one goes in; then all that came out is searched for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.gateway.access.issuing import issued, told, where_keys_are
from tests.gateway.commanded import free_port, surroundings
from tests.gateway.serving import fingerprint_of, make_plan, put_release, settings_for, wait_until
from tests.gateway.telemetry.collector import collecting
from tests.gateway.upstream import Script, Upstream

KEY = 'key_env = "CANARY_ENGINE"'
ENGINES = "sk-canary-engine-0123456789"
SENT = {"cookie": "session=canary-cookie-0123", "x-api-key": "canary-header-0123", "x-smallforge-trace": "1"}
USERS = "sk-proj-canaryUser0123456789abcdefABCDEF"
TABLES = """
access_log = true
log_format = "json"
trace = true
[gateway.cache]
store = "sqlite"
file = "{folder}/cache.db"
[gateway.traffic]
log = true
[gateway.telemetry]
endpoint = "{collector}"
content = true
"""


def test_t12_no_secret_is_in_anything_that_a_gateway_says_or_leaves(
    upstream: Upstream, tmp_path: Path
) -> None:
    """A gateway as its operator starts it, with everything on that writes: log, traces with their content,
    traffic, cache, metrics; and clients, admins, strangers and engines that fail in all ways."""
    put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    with collecting() as collector:
        admin = free_port()
        tables = TABLES.format(folder=tmp_path, collector=collector.url)
        settings_for(
            tmp_path,
            upstream.url,
            gateway=f"{where_keys_are(tmp_path)}\nadmin_port = {admin}\n{tables}",
        )
        key = issued(tmp_path, "client", "--traffic")
        rotated = str(told(tmp_path, "rotate", "client", "--grace", "1h")["key"])
        boss = issued(tmp_path, "boss", "--admin")
        file = tmp_path / "smallforge.toml"
        file.write_text(file.read_text().replace("[engines.default]", f"[engines.default]\n{KEY}"))
        port, metrics = free_port(), free_port()
        command = [
            sys.executable, "-c", "from gateway.command import main; main()", "serve",
            "--config", "smallforge.toml", "--port", str(port), "--metrics-port", str(metrics),
        ]  # fmt: skip
        environment = surroundings() | {"CANARY_ENGINE": ENGINES}
        log = (tmp_path / "log").open("wb")
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log) as process:
            try:
                wait_until(lambda: _ready(port), 60)
                said = _drive(
                    f"http://127.0.0.1:{port}", upstream, [key, rotated, boss, f"{key}x", f"{boss} {key}"]
                )
                said += _administer(f"http://127.0.0.1:{admin}", boss)
                said.append(httpx.get(f"http://127.0.0.1:{metrics}/metrics").text)
            finally:
                process.terminate()
                process.wait(20)
                log.close()
    assert upstream.headers[0]["Authorization"] == f"Bearer {ENGINES}"
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file.name != "gateway.pepper"]
    places = {str(file): file.read_bytes().decode("latin-1") for file in files}
    places |= {
        "replies": "".join(said),
        "traces": collector.raw.decode("latin-1"),
        "prompts": str(upstream.requests),
    }
    pepper = (tmp_path / "gateway.pepper").read_text().strip()
    secrets = [key, rotated, boss]
    secrets = [
        *(secret.split("-", 2)[2] for secret in secrets),
        pepper,
        ENGINES,
        *(SENT[name] for name in ("cookie", "x-api-key")),
    ]
    found = [(place, secret) for place, text in places.items() for secret in secrets if secret in text]
    assert found == []
    kept = [place for place, text in places.items() if USERS in text and "gateway.db" in place]
    assert kept == [], "what users write of their own secrets is taken out of the traffic log"
    assert "chatcmpl-" in places[str(tmp_path / "log")] and len(collector.raw) > 1_000


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _drive(url: str, upstream: Upstream, keys: list[str]) -> list[str]:
    """All that the gateway answers to good and bad keys, whatever its engine does."""
    said = []
    repeats = {"error": {"message": f"Incorrect API key provided: {ENGINES}", "code": "invalid_api_key"}}
    troubles = [
        Script(), Script(status=401, error=repeats), Script(status=400, error=repeats),
        Script(status=500, error=repeats),
        Script(trouble="garbage"), Script(trouble="cut_midway"), Script(trouble="error_midway"),
    ]  # fmt: skip
    with httpx.Client(base_url=url, timeout=20) as client:
        for key in keys:
            for number, trouble in enumerate(troubles):
                upstream.script = trouble
                body: dict[str, Any] = {"model": "quiz", "stream": bool(number % 2)}
                body["messages"] = [{"role": "user", "content": f"My key is {USERS}; {number}"}]
                headers = {**SENT, "authorization": f"Bearer {key}"}
                reply = client.post("/v1/chat/completions", content=orjson.dumps(body), headers=headers)
                said += [reply.text, str(reply.headers)]
        headers = {"authorization": f"Bearer {keys[1]}"}
        for path in ("/v1/models", "/openapi.json", "/docs", "/readyz", "/healthz", "/nothing"):
            said.append(client.get(path, headers=headers).text)
    return said


def _administer(url: str, boss: str) -> list[str]:
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {boss}"}) as client:
        made = client.post("/keys", json={"name": "other"})
        assert made.status_code in (200, 201), made.text
        return [client.get("/keys").text, client.get("/keys", headers={"authorization": "Bearer x"}).text]
