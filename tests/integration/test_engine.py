"""A real local engine: served by the command, asked through the client, gone without a trace."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from engine.client import EngineClient
from engine.errors import ContextWindowExceeded, EngineRequestRefused, EngineStartFailed
from engine.fingerprint import take_fingerprint
from engine.home import EngineHome, default_home
from engine.launch import Address
from engine.local import open_student
from engine.model_files import find_model
from engine.running import RunningEngine, birth_of, running_engines
from engine.serving import Serve, serving
from engine.settings import Settings
from tests.integration.tiny_model import write_tiny_model

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ASK = [{"role": "user", "content": "What is 2 + 2?"}]


@dataclass(frozen=True)
class Served:
    process: subprocess.Popen[bytes]
    home: EngineHome
    engine: RunningEngine

    def family(self) -> list[int]:
        """The process of the command and all its descendants."""
        return [self.process.pid, *descendants(self.process.pid)]

    def client(self) -> EngineClient:
        return EngineClient(self.engine.url, self.engine.model)


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(below for child in children for below in descendants(child))]


def all_gone(pids: list[int], seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while any(birth_of(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.1)
    return not any(birth_of(pid) for pid in pids)


def start(home: EngineHome, model: Path) -> Served:
    command = [sys.executable, "-m", "engine", "--home", str(home.root), "serve", str(model), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 540
    while not (up := running_engines(home)):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.1)
    return Served(process, home, up[0])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def home_with_environments(root: Path) -> EngineHome:
    """A home with notes of its own and the user's installed environments in it."""
    for environment in ("cpu", "gpu", "transformers"):
        installed = default_home().environment(environment)
        if installed.exists():
            (root / environment).symlink_to(installed)
    return EngineHome(root)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> EngineHome:
    return home_with_environments(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def served(home: EngineHome, model: Path) -> Iterator[Served]:
    running = start(home, model)
    family = running.family()
    yield running
    subprocess.run([sys.executable, "-m", "engine", "--home", str(home.root), "stop"], check=True)
    assert running.process.wait() == 0
    assert all_gone(family) and running_engines(home) == []


async def test_it_completes_and_counts(served: Served) -> None:
    async with served.client() as client:
        params = {"max_tokens": 8, "temperature": 0, "ignore_eos": True}
        # The engine caches whole blocks of 128 tokens, and this model makes one token of a byte.
        long = [{"role": "system", "content": "Answer with one number. " * 12}, *ASK]
        once, again = [await client.complete(long, params) for _ in range(2)]
    assert once.finish_reason == "length" and once.text == again.text
    assert once.usage is not None and once.usage.completion_tokens == 8
    assert again.usage is not None and again.usage.cached_tokens


async def test_it_streams_what_it_completes(served: Served) -> None:
    params = {"max_tokens": 16, "temperature": 0, "ignore_eos": True}
    async with served.client() as client:
        whole = await client.complete(ASK, params)
        deltas = [delta async for delta in client.stream(ASK, params)]
    assert "".join(delta.text for delta in deltas) == whole.text
    assert deltas[-1].usage is not None and deltas[-1].usage.completion_tokens == 16


async def test_it_shows_its_models_and_tokens(served: Served, model: Path) -> None:
    async with served.client() as client:
        (card,) = await client.models()
        ids = await client.tokenize(ASK)
        taken = await take_fingerprint(client, served.engine.weights)
        assert taken == await take_fingerprint(client, find_model(str(model)).weights_digest())
    assert (card.id, card.max_model_len) == ("tiny", 2048)
    assert ids is not None and taken.token_ids is not None and min(taken.prompt_tokens) > 10


async def test_it_refuses_in_our_words(served: Served) -> None:
    async with served.client() as client:
        with pytest.raises(ContextWindowExceeded):
            await client.complete([{"role": "user", "content": "long " * 2000}], {"max_tokens": 8})
        with pytest.raises(EngineRequestRefused):
            await client.complete(ASK, {"temperature": -1})


async def running_requests(url: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        lines = (await response.text()).splitlines()
    values = [line.rsplit(" ", 1)[1] for line in lines if line.startswith("vllm:num_requests_running")]
    return sum(map(float, values))


async def settles_at(url: str, count: float, seconds: float = 20) -> bool:
    for _ in range(round(seconds / 0.05)):
        if await running_requests(url) == count:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_leaving_a_stream_stops_the_engines_work(served: Served) -> None:
    async with served.client() as client:
        endless = {"max_tokens": 1900, "ignore_eos": True}
        async with aclosing(client.stream(ASK, endless)) as stream:
            await anext(stream)
            assert await settles_at(served.engine.url, 1)
        assert await settles_at(served.engine.url, 0, seconds=2)


async def test_cancelling_a_call_stops_the_engines_work(served: Served) -> None:
    async with served.client() as client:
        call = asyncio.create_task(client.complete(ASK, {"max_tokens": 1900, "ignore_eos": True}))
        assert await settles_at(served.engine.url, 1)
        call.cancel()
        assert await settles_at(served.engine.url, 0, seconds=2)
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_a_student_that_is_not_configured_is_the_engine_that_is_up(served: Served) -> None:
    async with open_student(Settings(home=served.home.root), progress=lambda line: None) as student:
        assert (student.client.url, student.context_tokens) == (served.engine.url, 2048)
        assert student.fingerprint.weights == served.engine.weights


def test_nothing_is_left_when_the_command_is_killed(model: Path, tmp_path: Path) -> None:
    separate = home_with_environments(tmp_path)
    running = start(separate, model)
    family = running.family()
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    assert len(family) >= 4 and all_gone(family) and running_engines(separate) == []


async def test_a_model_that_can_not_be_loaded_is_told_in_the_engines_words(
    home: EngineHome, tmp_path: Path
) -> None:
    broken = write_tiny_model(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(EngineStartFailed, match="broken") as caught:
        async with serving(home, Serve(find_model(str(broken)), address=Address("127.0.0.1", 0)), print):
            pass
    assert caught.value.log_tail


async def test_the_bundled_student_runs_for_the_while_when_nothing_is_up(tmp_path: Path) -> None:
    others = set(descendants(os.getpid()))  # engines of the rest of the session
    home = home_with_environments(tmp_path)
    async with open_student(Settings(home=home.root), progress=print) as student:
        reply = await student.client.complete(ASK, {"max_tokens": 8})
        assert (student.client.model, student.context_tokens) == ("smallforge-student", 8192)
        assert reply.usage is not None and running_engines(home) == []
        assert student.fingerprint.weights == find_model(None).weights_digest()
        family = [pid for pid in descendants(os.getpid()) if pid not in others]
    assert family and all_gone(family)
