"""What every test stands on: no way out of this machine, whatever the code under test does.

The guard is an audit hook of Python itself: it sees every connection and look-up of this process, and nothing
has to be replaced for it. Tests marked `live` call an endpoint elsewhere; for them it is open.
"""

from __future__ import annotations

import gc
import ipaddress
import os
import re
import sys
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from engine.providers import KEY_VARIABLES
from engine.settings_familiar import FAMILIAR


class NetworkGuard:
    """While `closed`, refuses connections and look-ups of names that lead beyond this machine."""

    def __init__(self) -> None:
        self.closed = False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.closed:
            return
        if event == "socket.getaddrinfo":
            self._check(args[0])
        elif event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple):
            # A path instead of a tuple is a Unix socket, which never leaves the machine.
            self._check(args[1][0])

    def _check(self, host: object) -> None:
        if not _is_local(host.decode() if isinstance(host, bytes) else host):
            raise RuntimeError(f"a test tried to reach {host!r}; only tests marked `live` may")


def _is_local(host: object) -> bool:
    if host in (None, "", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(str(host))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


_GUARD = pytest.StashKey[NetworkGuard]()
_LEFT_OUT = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    # Python has no way to take an audit hook off again, so the guard is opened and closed instead.
    guard = config.stash[_GUARD] = NetworkGuard()
    sys.addaudithook(guard)
    config.stash[_LEFT_OUT] = []
    # Whatever this shell says: the processes that tests start, and the next run, needn't compile all anew.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if config.getoption("markexpr").startswith("not "):
        # Each client of httpx, OpenAI's too, would read all authorities of the web for servers without TLS.
        os.environ.pop("SSL_CERT_FILE", None)
        os.environ["SSL_CERT_DIR"] = os.devnull
    # Whose machine this is must not decide what a test means; nor should a test have a real key.
    for name in (*FAMILIAR, *(name for names in KEY_VARIABLES.values() for name in names)):
        os.environ.pop(name, None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    gc.disable()
    try:
        return (yield)
    finally:
        # What was imported stays to the end; looking each time whether it may go takes a tenth of the time.
        gc.freeze()
        gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Training needs PyTorch, which is in no lock because its builds differ by machine."""
    if find_spec("torch") or not collection_path.match("test_*.py"):
        return None
    if not re.search(r"^(import|from) torch\b", collection_path.read_text(), re.MULTILINE):
        return None
    config.stash[_LEFT_OUT].append(f"{collection_path.name} needs PyTorch: make torch")
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[_LEFT_OUT]:
        terminalreporter.write_line(f"left out: {line}", yellow=True)


@pytest.fixture(autouse=True)
def network_guard(request: pytest.FixtureRequest) -> Iterator[NetworkGuard]:
    guard = request.config.stash[_GUARD]
    guard.closed = request.node.get_closest_marker("live") is None
    yield guard
    guard.closed = False
