"""Which engine a call is sent to: the one that has read its prompt, unless that one has too much to do.

Rendezvous hashing gives each release its own order of the engines, the same in every worker and whoever else
comes or goes. The first in that order with no more than its share of the load is asked (consistent hashing
with bounded loads), so a release stays on few engines and a hot one spreads over all of them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b

from engine.settings_fleet import FleetSettings
from gateway.fleet.member import Member

_OVER_MEAN = 1.25  # how much more than the mean an engine may have to do before others are asked


def ranked(key: str, members: Iterable[Member]) -> tuple[Member, ...]:
    """The members in the order in which calls of this key prefer them."""
    return tuple(sorted(members, key=lambda member: _weight(key, member.label), reverse=True))


def _weight(key: str, label: str) -> bytes:
    return blake2b(f"{key}\0{label}".encode(), digest_size=8).digest()


def chosen(ranking: Sequence[Member], tried: Collection[Member], settings: FleetSettings) -> Member | None:
    """The member to ask, none that was tried; None where each has as many calls as it may have.

    Where none would be sent a call, all are: one may be back already, and else its error is the answer.
    """
    left = [member for member in ranking if member not in tried]
    able = [member for member in left if member.accepts()] or left
    if not able:
        return None
    mean = (sum(member.in_flight for member in able) + 1) / len(able)
    share = max(settings.together, math.ceil(_OVER_MEAN * mean))
    most = share if settings.max_in_flight is None else min(share, settings.max_in_flight)
    first = next((member for member in able if member.in_flight < most), None)
    if first is not None or settings.max_in_flight is None:
        return first
    least = min(able, key=lambda member: member.in_flight)
    return least if least.in_flight < settings.max_in_flight else None
