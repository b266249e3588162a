"""How much of each model may be used, and where it is counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

EVERY_MODEL = "*"
_SCHEMES = ("redis", "rediss", "unix")
_Count = Annotated[int, Field(ge=1)]
_Usd = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class LimitSettings:
    """How much may be used, of one model or by one key; None is no limit.

    Tokens are those of prompts and answers together. Days and months are UTC's.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    usd_per_day: float | None = None
    usd_per_month: float | None = None


class Limit(BaseModel):
    """[limits."NAME"]: NAME is a program, an exposed model, or "*" for each model by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rpm: _Count | None = None
    tpm: _Count | None = None
    concurrency: _Count | None = None
    usd_per_day: _Usd | None = None
    usd_per_month: _Usd | None = None

    def settings(self) -> LimitSettings:
        return LimitSettings(self.rpm, self.tpm, self.concurrency, self.usd_per_day, self.usd_per_month)


def limits_from(tables: Mapping[str, Limit]) -> dict[str, LimitSettings]:
    """The limits of each model that is named; what its own table leaves open, that of "*" says."""
    every = tables.get(EVERY_MODEL, Limit())
    return {
        name: every.model_copy(update=table.model_dump(exclude_none=True)).settings()
        for name, table in tables.items()
    }


def redis_mistakes(redis: str | None) -> Iterator[str]:
    if redis is not None and urlsplit(redis).scheme not in _SCHEMES:
        # The address may hold a password, so it is not repeated.
        yield "gateway.redis is no address of a Redis; write for example 'redis://127.0.0.1:6379/0'"


def limits_mistakes(tables: Mapping[str, Limit], redis: str | None, workers: int) -> Iterator[str]:
    for name, table in tables.items():
        if "@" in name:
            yield (
                f"limits.{name!r}: a limit holds for all releases of a program; write limits."
                f"{name.partition('@')[0]!r}"
            )
        if not table.model_dump(exclude_none=True):
            yield f"limits.{name!r} limits nothing; known here: {', '.join(sorted(Limit.model_fields))}"
    if tables and redis is None and workers > 1:
        yield (
            f"limits: {workers} workers can't count together without gateway.redis; name a Redis, or set "
            "gateway.workers = 1"
        )
