"""The reliability numbers, small: with scripted engines, and clients that leave before a real one."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.request
from pathlib import Path

import pytest

from benchmarks.gateway_stand import PASSED
from benchmarks.reliability import main
from engine.settings import read_settings
from tests.integration.conftest import House, furnish, running


def test_little_is_lost_of_little(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--disconnects", "40", "--kills", "2"]) == PASSED, capsys.readouterr().out
    assert "FAILED" not in capsys.readouterr().out


def running_requests(engine_url: str) -> float:
    """Requests that vLLM works on or keeps waiting."""
    with urllib.request.urlopen(f"{engine_url}/metrics") as page:
        found = re.findall(
            r"^vllm:num_requests_(?:running|waiting){.*} (\S+)$", page.read().decode(), re.MULTILINE
        )
    assert len(found) == 2
    return sum(map(float, found))


def leave(port: int, *, stream: bool, seconds: float) -> None:
    """Asks for a long answer and closes the connection soon."""
    chat = {
        "model": "arithmetic",
        "messages": [{"role": "user", "content": "Count. " * 20}],
        "stream": stream,
    }
    body = json.dumps({**chat, "max_completion_tokens": 800, "temperature": 1.5}).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        time.sleep(seconds)


def test_nothing_is_left_running_in_vllm_by_clients_that_left(
    house: House, built: str, engine_url: str, tmp_path: Path
) -> None:
    assert built
    one = furnish(tmp_path, engine_url)
    text = (
        (one.folder / "smallforge.toml").read_text().replace('"releases"', f'"{house.folder / "releases"}"')
    )
    (one.folder / "smallforge.toml").write_text(f"{text}\n[engines.local.fleet]\nmax_in_flight = 4\n")
    port = read_settings(one.folder / "smallforge.toml").gateway.port
    seen = 0.0
    with running(["gateway", "serve"], one.folder, f"{one.gateway}/readyz", 60):
        for number in range(12):
            leave(port, stream=number % 2 == 0, seconds=0.03 * (number % 5))
            seen = max(seen, running_requests(engine_url))
        end = time.monotonic() + 5
        while running_requests(engine_url) and time.monotonic() < end:
            time.sleep(0.1)
        assert running_requests(engine_url) == 0
        with urllib.request.urlopen(one.metrics) as page:
            assert 'gateway_engine_in_flight_calls{engine="local"' in (shown := page.read().decode())
        assert re.search(r'^gateway_requests_total{.*status="499"} 12.0$', shown, re.MULTILINE)
