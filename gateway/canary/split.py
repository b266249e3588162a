"""Which of two releases answers a caller: the same one each time, and more callers as the weight grows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from gateway.visit import SESSION
from programs.canary import Canary

if TYPE_CHECKING:
    from gateway.catalog import Served
    from gateway.errors import Header
    from gateway.visit import Visit

_LONGEST_SESSION = 256  # bytes that count


@dataclass(frozen=True)
class Split:
    """What the canary's share of requests gets instead of the champion."""

    canary: Canary
    candidate: Served

    def chosen(self, champion: Served, visit: Visit) -> Served:
        return self.candidate if self._takes(visit) else champion

    def _takes(self, visit: Visit) -> bool:
        return place_of(self.canary.version, who_asks(visit)) * 100 < self.canary.weight


def who_asks(visit: Visit) -> bytes:
    """What stays the same over a caller's requests: its key and its session, as far as there are any."""
    session = _session(visit.own)
    if visit.caller is None and session is None:
        return os.urandom(16)
    key = b"" if visit.caller is None else visit.caller.id.encode()
    return key + b"\0" + (session or b"")


def place_of(version: str, who: bytes) -> float:
    """Where a caller stands between 0 and 1; elsewhere for each version, so that not always the same try."""
    digest = blake2b(who, digest_size=8, key=version.encode()).digest()
    return (int.from_bytes(digest) >> 11) / (1 << 53)


def _session(own: Sequence[Header]) -> bytes | None:
    found = next((value for name, value in own if name == SESSION), None)
    return found[:_LONGEST_SESSION] if found else None
