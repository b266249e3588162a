"""What calls of one model cost, by the token or by the hour; unknown stays unknown."""

from __future__ import annotations

from typing import Protocol

from compiler.request import BoundModel
from programs.execution import Usage


class Bill(Protocol):
    """What one call costs: open while the call runs, for models that are charged by the hour."""

    def close(self) -> None: ...
    def usd(self, usage: Usage | None) -> float | None: ...


class Charge(Protocol):
    """What calls of one model cost; `foresee` says what an amount of them would about cost."""

    def open(self) -> Bill: ...
    def foresee(self, prompt_tokens: int, completion_tokens: int, seconds: float) -> float | None: ...


class Unknown:
    """A price that nobody told."""

    def open(self) -> Unknown:
        return self

    def close(self) -> None:
        pass

    def usd(self, usage: Usage | None) -> float | None:
        return None

    def foresee(self, prompt_tokens: int, completion_tokens: int, seconds: float) -> float | None:
        return None


def charge_of(model: BoundModel) -> Charge:
    return Unknown()
