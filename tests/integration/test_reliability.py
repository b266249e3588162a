"""The reliability numbers, small: with scripted engines, and once with the real one."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gateway_stand import PASSED
from benchmarks.kept_connection import Answer as KeptAnswer
from benchmarks.kept_connection import KeptConnection, post
from benchmarks.reliability import main
from benchmarks.reliability_changes import end_worker, restart_workers
from benchmarks.reliability_stand import Answer, Stand, ask
from engine.settings import read_settings
from programs.aliases import move_alias
from programs.release import read_release
from tests.gateway.serving import put_release, wait_until
from tests.integration.conftest import House, free_port, furnish, running


def test_little_is_lost_of_little(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--disconnects", "40", "--kills", "2", "--requests", "600", "--minutes", "0.05", "--inputs", "300"]
    code = main(few)
    assert code == PASSED, capsys.readouterr().out


@contextmanager
def serving_fleet(folder: Path, house: House, urls: str, fleet: str) -> Iterator[House]:
    """A gateway before these engines, with the releases of the house."""
    one = furnish(folder, urls)
    file = one.folder / "smallforge.toml"
    text = file.read_text().replace('"releases"', f'"{house.folder / "releases"}"')
    file.write_text(f"{text}\n[engines.local.fleet]\n{fleet}\n")
    with running(["gateway", "serve"], one.folder, f"{one.gateway}/readyz", 60):
        yield one


def port_of(house: House) -> int:
    return read_settings(house.folder / "smallforge.toml").gateway.port


def silent_engines(house: House) -> dict[str, Any]:
    with urllib.request.urlopen(f"{house.gateway}/readyz") as page:
        found: dict[str, Any] = json.load(page)["students"]
        return found


def running_requests(engine_url: str) -> float:
    """Requests that vLLM works on or keeps waiting."""
    with urllib.request.urlopen(f"{engine_url}/metrics") as page:
        text = page.read().decode()
    found = re.findall(r"^vllm:num_requests_(?:running|waiting){.*} (\S+)$", text, re.MULTILINE)
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
    with serving_fleet(tmp_path, house, engine_url, "max_in_flight = 4") as one:
        for turn in range(4):
            with asking(port_of(one), clients=8):
                # Some leave while they wait for the gateway, the others while vLLM works for them.
                wait_until(lambda: running_requests(engine_url) > 0)
                time.sleep(0.02 * turn)
            wait_until(lambda: running_requests(engine_url) == 0)
        with urllib.request.urlopen(one.metrics) as page:
            shown = page.read().decode()
    assert re.search(r'^gateway_engine_in_flight_calls{engine="local".*} 0.0$', shown, re.MULTILINE)
    assert re.search(r'^gateway_requests_total{.*status="499"}', shown, re.MULTILINE)


def another_release(releases: Path, version: str) -> str:
    """The same program once more, with room for one token more; gives its version."""
    release = read_release(releases / "arithmetic" / version)
    assert release.plan is not None
    sampling = replace(release.sampling, max_tokens=release.sampling.max_tokens + 1)
    plan = replace(release.plan, sampling=sampling)
    return put_release(releases, plan, release.identity.fingerprint, alias=None)


async def ask_on(port: int, over: asyncio.Event, number: int) -> list[KeptAnswer]:
    """What one client is answered on a connection that it keeps, as long as the server does."""
    question = f"Anna has {number} apples. She buys 4 more. How many apples has she?"
    chat = {"model": "arithmetic", "messages": [{"role": "user", "content": question}]}
    message = post("/v1/chat/completions", {**chat, "stream": number % 2 == 0})
    connection, answers = KeptConnection(port), list[KeptAnswer]()
    while not over.is_set():
        answers.append(await connection.ask(message))
    connection.close()
    return answers


async def test_promotions_and_new_workers_cost_no_request_before_vllm(
    house: House, built: str, engine_url: str, tmp_path: Path
) -> None:
    assert built
    one = furnish(tmp_path, engine_url)
    releases = tmp_path / "releases"
    shutil.copytree(house.folder / "releases" / "arithmetic", releases / "arithmetic")
    first = one.alias("arithmetic", "champion")
    second = another_release(releases, first)
    port, over = port_of(one), asyncio.Event()
    with running(["gateway", "serve", "--workers", "2"], tmp_path, f"{one.gateway}/readyz", 60) as served:
        stand = Stand(tmp_path, port, 0, [], served)
        asking = [asyncio.create_task(ask_on(port, over, number)) for number in range(4)]
        for change in (
            lambda: move_alias(releases / "arithmetic", "champion", second, "it is newer"),
            lambda: wait_until(lambda: stand.is_served("arithmetic", second), 30),
            lambda: restart_workers(stand, 0),
            lambda: move_alias(releases / "arithmetic", "champion", first, "it was better"),
            lambda: end_worker(stand, 0),
            lambda: wait_until(lambda: stand.is_served("arithmetic", first), 30),
        ):
            await asyncio.to_thread(change)
        over.set()
        answers = [answer for answers in await asyncio.gather(*asking) for answer in answers]
    assert len(answers) > 20
    assert [answer for answer in answers if answer.status != 200 or not answer.whole] == []


def test_a_vllm_that_is_killed_under_load_is_not_missed(
    house: House, built: str, engine_url: str, tmp_path: Path
) -> None:
    assert built
    port = free_port()
    second = f"http://127.0.0.1:{port}"
    answers: list[Answer] = []
    over = threading.Event()

    def load(gateway: int, number: int) -> None:
        question = f"Anna has {number} apples. She buys 4 more. How many apples has she?"
        while not over.is_set():
            answers.append(asyncio.run(ask(gateway, question, "arithmetic", stream=number % 2 == 0)))

    serve = ["engine", "serve", "--port", str(port)]
    with (
        running(serve, tmp_path, f"{second}/v1/models", seconds=300) as engine,
        # More than one call is more than an engine's share, so both work.
        serving_fleet(tmp_path, house, f'{engine_url}", "{second}', "together = 1") as one,
        ThreadPoolExecutor(4) as pool,
    ):
        wait_until(lambda: silent_engines(one) == {}, 60)
        clients = [pool.submit(load, port_of(one), number) for number in range(4)]
        wait_until(lambda: running_requests(second) > 0, 30)
        engine.kill()
        wait_until(lambda: silent_engines(one) != {}, 30)
        went_on = len(answers)
        wait_until(lambda: len(answers) > went_on + 4, 30)
        over.set()
        for client in clients:
            client.result(30)
    assert [answer for answer in answers if answer.status != 200 and not answer.begun] == []
