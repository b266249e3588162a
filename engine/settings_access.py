"""Who may ask the gateway, and the most that a request may bring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

_POSTGRESQL = ("postgresql", "postgres")
LEAST_PEPPER = 32  # characters
_Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class CapSettings:
    """The most that one request may bring. A window of 128k tokens is about half a MiB of English text."""

    body_bytes: int = 4 * 1024 * 1024
    messages: int = 2_000
    n: int = 8
    stop: int = 16
    """Texts at which an answer is cut; a program takes four at most."""
    max_tokens: int = 262_144
    inputs: int = 2_048
    """Prompts of a completion, or texts to embed."""
    depth: int = 64
    """Lists and objects within each other."""


class Caps(BaseModel):
    """[gateway.caps]"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    body_bytes: _Count = CapSettings.body_bytes
    messages: _Count = CapSettings.messages
    n: _Count = CapSettings.n
    stop: _Count = CapSettings.stop
    max_tokens: _Count = CapSettings.max_tokens
    inputs: _Count = CapSettings.inputs
    depth: Annotated[int, Field(ge=4, le=1000)] = CapSettings.depth


def access_mistakes(database: str, pepper: str | None) -> Iterator[str]:
    # Both may hold a secret, so no sentence repeats them.
    if not database.strip():
        yield "gateway.database is empty; name a file, or leave it out for 'gateway.db'"
    elif "://" in database and urlsplit(database).scheme not in _POSTGRESQL:
        yield (
            f"gateway.database: {urlsplit(database).scheme!r} is no database that is known; name a file, "
            "or a server as 'postgresql://name@host/database'"
        )
    if pepper is not None and len(pepper) < LEAST_PEPPER:
        yield f"gateway.pepper has fewer than {LEAST_PEPPER} characters; `openssl rand -hex 32` makes one"
