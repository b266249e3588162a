"""The reliability numbers, small: with scripted engines, and clients that leave before a real one."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from benchmarks.gateway_stand import PASSED
from benchmarks.reliability import main
from engine.settings import read_settings
from tests.gateway.serving import wait_until
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


@contextmanager
def asking(port: int, clients: int) -> Iterator[None]:
    """So many clients, every other with a stream, that all leave when the block ends."""
    with ExitStack() as stack:
        for number in range(clients):
            chat = {"model": "arithmetic", "messages": [{"role": "user", "content": "Count. " * 20}]}
            body = json.dumps({**chat, "stream": number % 2 == 0, "n": 8, "temperature": 1.5}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.sendall(f"{head}\r\n\r\n".encode() + body)
        yield


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
    with running(["gateway", "serve"], one.folder, f"{one.gateway}/readyz", 60):
        for turn in range(4):
            with asking(port, clients=8):
                # Some leave while they wait for the gateway, the others while vLLM works for them.
                wait_until(lambda: running_requests(engine_url) > 0)
                time.sleep(0.02 * turn)
            wait_until(lambda: running_requests(engine_url) == 0)
        with urllib.request.urlopen(one.metrics) as page:
            shown = page.read().decode()
    assert re.search(r'^gateway_engine_in_flight_calls{engine="local".*} 0.0$', shown, re.MULTILINE)
    assert re.search(r'^gateway_requests_total{.*status="499"}', shown, re.MULTILINE)
