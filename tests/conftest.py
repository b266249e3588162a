"""What every test stands on: no way out of this machine, whatever the code under test does.

The guard is an audit hook of Python itself: it sees every connection and look-up of this process, and nothing
has to be replaced for it. Tests marked `live` call an endpoint elsewhere; for them it is open.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from typing import Any

import pytest


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


def pytest_configure(config: pytest.Config) -> None:
    # Python has no way to take an audit hook off again, so the guard is opened and closed instead.
    guard = config.stash[_GUARD] = NetworkGuard()
    sys.addaudithook(guard)


@pytest.fixture(autouse=True)
def network_guard(request: pytest.FixtureRequest) -> Iterator[NetworkGuard]:
    guard = request.config.stash[_GUARD]
    guard.closed = request.node.get_closest_marker("live") is None
    yield guard
    guard.closed = False
