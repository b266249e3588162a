"""Whom a request comes from, as its key says. Knows nothing of where keys are kept."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

ALL_MODELS = ("*",)


@dataclass(frozen=True)
class KeyLimits:
    """How much one key may use; None is no limit. Tokens are those of prompts and answers together."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    usd_per_day: float | None = None
    usd_per_month: float | None = None


UNLIMITED = KeyLimits()


@dataclass(frozen=True)
class Caller:
    """The holder of a key. `id` is the key's public name, the same before and after a rotation."""

    id: str
    name: str
    models: tuple[str, ...] = ALL_MODELS
    """Names of models, or patterns such as 'gsm8k*'."""
    limits: KeyLimits = UNLIMITED
    traffic: bool = False
    """Whether the holder agreed that requests and answers are kept."""

    def may_ask(self, model: str) -> bool:
        return any(pattern == model or fnmatchcase(model, pattern) for pattern in self.models)
