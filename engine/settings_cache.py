"""Whether the gateway keeps answers to give them again, where, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

StoreName = Literal["memory", "sqlite", "redis"]
Kept = Literal["deterministic", "all"]


@dataclass(frozen=True)
class CacheSettings:
    """Answers are kept for `ttl` seconds, of each key for itself unless they are `shared`.

    `max_bytes` bounds what is kept, per worker in memory; Redis bounds itself. `keep` all includes answers
    that were sampled, and those of programs of several steps.
    """

    store: StoreName
    ttl: float = 3600.0
    max_bytes: int | None = None
    file: str = "cache.db"
    shared: bool = False
    keep: Kept = "deterministic"


class Cache(BaseModel):
    """[gateway.cache]"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    store: StoreName
    ttl: Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)] = CacheSettings.ttl
    max_bytes: Annotated[int, Field(ge=1)] | None = None
    file: str = CacheSettings.file
    shared: bool = CacheSettings.shared
    keep: Kept = CacheSettings.keep


def cache_from(table: Cache | None) -> CacheSettings | None:
    return None if table is None else CacheSettings(**table.model_dump())


def cache_mistakes(table: Cache | None, redis: str | None, cache_salt: bool) -> Iterator[str]:
    if table is None:
        return
    place = "gateway.cache"
    if table.store == "redis" and redis is None:
        yield f"{place}.store = 'redis' needs gateway.redis = 'redis://127.0.0.1:6379/0'"
    if table.shared and cache_salt:
        yield (
            f"{place}.shared gives each key the answers of all, but gateway.cache_salt keeps keys apart; "
            "leave one of them out"
        )
    if table.store == "redis" and table.max_bytes is not None:
        yield f"{place}.max_bytes: Redis bounds itself, by its own maxmemory and maxmemory-policy"
    if table.store == "sqlite" and (not table.file.strip() or "://" in table.file):
        yield f"{place}.file: {table.file!r} is no file; write for example 'cache.db'"
