"""Whom a request comes from, as its key says. Knows nothing of where keys are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from engine.settings_limits import LimitSettings
from gateway.errors import ModelUnknown

ALL_MODELS = ("*",)
UNLIMITED = LimitSettings()


@dataclass(frozen=True)
class Caller:
    """The holder of a key. `id` is the key's public name, the same before and after a rotation."""

    id: str
    name: str
    models: tuple[str, ...] = ALL_MODELS
    """Names of models, or patterns such as 'gsm8k*'."""
    limits: LimitSettings = UNLIMITED
    traffic: bool = False
    """Whether the holder agreed that requests and answers are kept."""

    def may_ask(self, model: str) -> bool:
        if "*" in self.models or model in self.models:
            return True
        return any(fnmatchcase(model, pattern) for pattern in self.models)


def may_ask(caller: Caller | None, model: str) -> bool:
    """Where there are no keys, everybody may ask every model."""
    return caller is None or caller.may_ask(model)


def check_model(caller: Caller | None, body: Mapping[str, Any]) -> None:
    """Raises ModelUnknown for a model that is kept from the caller, before anything is told of it."""
    model = body.get("model")
    if caller is None or not isinstance(model, str) or caller.may_ask(model):
        return
    raise ModelUnknown(
        f"No model {model[:80]!r} that this key may ask; /v1/models lists those it may.", param="model"
    )
