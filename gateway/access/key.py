"""A key as it is known to its gateway: what it was made with and what became of it, never its secret."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from engine.settings_limits import Limit, LimitSettings
from gateway.access.caller import ALL_MODELS, UNLIMITED, Caller
from gateway.access.durations import time_of
from gateway.errors import RequestInvalid

Kind = Literal["client", "admin"]
"""Clients ask models; admins make and revoke keys, on a port of their own."""
State = Literal["active", "expired", "revoked"]

_Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9 ._@-]{0,63}$")]
_LIKE_AN_ID = re.compile(r"[0-9a-f]{12}")
_Model = Annotated[str, Field(min_length=1, max_length=200)]


@dataclass(frozen=True)
class Wanted:
    """What a key is made with. Times are seconds since 1970; None is never."""

    name: str
    kind: Kind = "client"
    models: tuple[str, ...] = ALL_MODELS
    limits: LimitSettings = UNLIMITED
    traffic: bool = False
    expires: float | None = None


@dataclass(frozen=True)
class Key:
    """`id` is its public name. Until `former_until` the secret from before its last rotation holds too."""

    id: str
    wanted: Wanted
    created: float
    revoked: float | None = None
    former_until: float | None = None

    def state(self, now: float) -> State:
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.wanted.expires is not None and self.wanted.expires <= now else "active"

    def caller(self) -> Caller:
        return Caller(self.id, self.wanted.name, self.wanted.models, self.wanted.limits, self.wanted.traffic)

    def as_dict(self, now: float) -> dict[str, Any]:
        wanted, limits = self.wanted, self.wanted.limits
        return {
            "id": self.id,
            "name": wanted.name,
            "kind": wanted.kind,
            "state": self.state(now),
            "models": list(wanted.models),
            "rpm": limits.requests_per_minute,
            "tpm": limits.tokens_per_minute,
            "concurrency": limits.concurrency,
            "usd_per_day": limits.usd_per_day,
            "usd_per_month": limits.usd_per_month,
            "traffic": wanted.traffic,
            "created": _told(self.created),
            "expires": _told(wanted.expires),
            "revoked": _told(self.revoked),
            "former_secret_until": _told(self.former_until),
        }


class Issued(NamedTuple):
    """A key with what its holder sends, which nobody can show again."""

    key: Key
    token: str


class Found(NamedTuple):
    """The key behind a token, and the time until which that token holds if nothing changes."""

    key: Key
    until: float | None


class _Order(Limit):
    """What somebody says of a key they want, as flags or as JSON."""

    name: _Name
    kind: Kind = "client"
    models: tuple[_Model, ...] = Field(ALL_MODELS, min_length=1, max_length=100)
    traffic: bool = False
    expires: str | None = None


def wanted_from(said: Mapping[str, Any]) -> Wanted:
    """Raises RequestInvalid with the first mistake."""
    try:
        order = _Order.model_validate(said)
    except ValidationError as error:
        mistake = error.errors()[0]
        place = ".".join(map(str, mistake["loc"]))
        if place == "name" and "name" in said:
            told = "'name' must begin with a letter and have at most 64 letters, digits, spaces and . _ @ -"
            raise RequestInvalid(f"{told}.", param=place) from None
        raise RequestInvalid(f"{place!r}: {mistake['msg']}.", param=place) from None
    if _LIKE_AN_ID.fullmatch(order.name):
        # Whoever revokes the key with that id would revoke this one.
        raise RequestInvalid(f"'name' = {order.name!r} looks like the id of a key.", param="name")
    expires = None if order.expires is None else time_of(order.expires, time.time())
    return Wanted(order.name, order.kind, order.models, order.settings(), order.traffic, expires)


def _told(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
