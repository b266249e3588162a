"""The real parts of the integration tier, run by the commands a user types.

One vLLM with the bundled student, one release built on it, one gateway in front; each is started once for the
session and stopped with it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from openai import OpenAI

BIN = Path(sys.executable).parent
NONE: Mapping[str, str] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.timeout(600))


def program_or_leave_out(package: str, *names: str) -> str:
    """The path of a program that may be missing on a developer's machine; in CI nothing is left out."""
    for name in names or (package,):
        if found := shutil.which(name):
            return found
    missing = f"no {package} is installed (Debian and Ubuntu: apt-get install {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running(
    command: list[str], folder: Path, ready: str, seconds: float, surroundings: Mapping[str, str] = NONE
) -> Iterator[subprocess.Popen[bytes]]:
    """A command that serves until the block ends; the block starts when `ready` answers 200.

    `surroundings` are variables beside those of this process.
    """
    log = folder / f"{command[0]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            cwd=folder,
            env={**os.environ, **surroundings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(process, ready, seconds, log)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], url: str, seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"{url} never answered; {log.name} ends:\n{log.read_text(errors='replace')[-3000:]}")


@dataclass(frozen=True)
class House:
    """A user's directory: its settings, its releases, and the addresses in them."""

    folder: Path
    engine: str
    gateway: str
    metrics: str

    def run(self, *command: str, code: int = 0, surroundings: Mapping[str, str] = NONE) -> str:
        """The output of one of our commands, which must end with `code`."""
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.folder,
            env={**os.environ, **surroundings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == code, (
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}"
        )
        return done.stdout

    def alias(self, program: str, alias: str) -> str:
        aliases = json.loads((self.folder / "releases" / program / "aliases.json").read_text())
        return str(aliases[alias])


@pytest.fixture(scope="session")
def engine_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    folder = tmp_path_factory.mktemp("engine")
    with running(["engine", "serve", "--port", str(port)], folder, f"{url}/v1/models", seconds=300):
        yield url


def furnish(folder: Path, engine_url: str) -> House:
    """A directory whose settings name the engine and free ports."""
    port, metrics = free_port(), free_port()
    (folder / "smallforge.toml").write_text(
        f"""
        releases = "releases"

        [engines.local]
        urls = ["{engine_url}"]
        kind = "vllm"
        usd_per_hour = 0.10

        [students.default]
        engine = "local"

        [gateway]
        port = {port}
        metrics_port = {metrics}
        """
    )
    return House(folder, engine_url, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics}/metrics")


@pytest.fixture(scope="session")
def house(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> House:
    return furnish(tmp_path_factory.mktemp("house"), engine_url)


@pytest.fixture(scope="session")
def built(house: House) -> str:
    """What the terminal showed while the first release was built."""
    return house.run("compiler", "build", "arithmetic", "--optimizer", "LabeledFewShot")


@pytest.fixture(scope="session")
def gateway(house: House, built: str) -> Iterator[House]:
    assert built
    with running(["gateway", "serve"], house.folder, f"{house.gateway}/readyz", seconds=60):
        yield house


@pytest.fixture
def client(gateway: House) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.gateway}/v1", api_key="unused", max_retries=0) as client:
        yield client
