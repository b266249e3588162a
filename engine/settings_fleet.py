"""How the engines of one student serve together, and how long a call of one of them may take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MOST_IN_FLIGHT = 256
"""Connections that a gateway keeps to one engine."""
_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class FleetSettings:
    """What the gateway sends to each of an engine's URLs, and what it does when one of them fails.

    With `max_in_flight` a call that finds every URL full waits, one of at most `queue` and for at most
    `queue_seconds`; without, engines take what comes. Of one release `together` calls stay at the URL that
    has read its prompt, before others are asked. `retries` is how often a call is asked elsewhere, and
    `retry_budget` which share of all calls that may be. A URL is left alone for `eject_seconds`, and longer
    each time, after `eject_after` failures in a row.
    """

    max_in_flight: int | None = None
    queue: int = 256
    queue_seconds: float = 10.0
    together: int = 8
    retries: int = 2
    retry_budget: float = 0.2
    eject_after: int = 5
    eject_seconds: float = 5.0


@dataclass(frozen=True)
class TimeoutSettings:
    """Seconds to connect, to a reply's first byte, between two reads of it, in all; None is as usual."""

    connect: float | None = None
    first_byte: float | None = None
    between: float | None = None
    total: float | None = None


class Fleet(BaseModel):
    """[engines.NAME.fleet]"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_in_flight: Annotated[int, Field(ge=1, le=MOST_IN_FLIGHT)] | None = None
    queue: Annotated[int, Field(ge=0, le=100_000)] = 256
    queue_seconds: _Seconds = 10.0
    together: Annotated[int, Field(ge=1)] = 8
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    retry_budget: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.2
    eject_after: Annotated[int, Field(ge=1)] = 5
    eject_seconds: _Seconds = 5.0


class Timeouts(BaseModel):
    """[engines.NAME.timeouts]"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connect: _Seconds | None = None
    first_byte: _Seconds | None = None
    between: _Seconds | None = None
    total: _Seconds | None = None


def fleet_mistakes(place: str, urls: Sequence[str], fleet: Fleet, timeouts: Timeouts) -> Iterator[str]:
    """What is said of an engine's URLs that its URLs make pointless."""
    if not urls:
        for name, table in (("fleet", fleet), ("timeouts", timeouts)):
            if table.model_fields_set:
                yield f"{place}.{name}: only a server has one, and this engine has no urls"
        return
    if len({url.rstrip("/") for url in urls}) < len(urls):
        yield f"{place}.urls: one of them stands there twice; each is asked as a machine of its own"
    queued = fleet.model_fields_set & {"queue", "queue_seconds"}
    if queued and fleet.max_in_flight is None:
        yield (
            f"{place}.fleet.{min(queued)}: nothing waits here before the engines are full; say with "
            "max_in_flight when one is"
        )
