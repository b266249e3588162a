"""What calls of one model cost, by the token or by the hour; unknown stays unknown."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from engine.chat import Usage as Tokens
from engine.prices import HourlyMeter, Price, token_cost
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
    """A price that nobody told; also the bill of each call."""

    def open(self) -> Unknown:
        return self

    def close(self) -> None:
        pass

    def usd(self, usage: Usage | None) -> float | None:
        return None

    def foresee(self, prompt_tokens: int, completion_tokens: int, seconds: float) -> float | None:
        return None


class PerToken:
    """A price per million tokens; also the bill of each call."""

    def __init__(self, price: Price) -> None:
        self._price = price

    def open(self) -> PerToken:
        return self

    def close(self) -> None:
        pass

    def usd(self, usage: Usage | None) -> float | None:
        if usage is None:
            return None
        tokens = Tokens(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)
        return token_cost(self._price, tokens)

    def foresee(self, prompt_tokens: int, completion_tokens: int, seconds: float) -> float | None:
        return token_cost(self._price, Tokens(prompt_tokens, completion_tokens))


class PerHour:
    """A price per hour, shared among the calls that run at the same time."""

    def __init__(self, usd_per_hour: float) -> None:
        self._usd_per_hour = usd_per_hour
        self._meter = HourlyMeter(usd_per_hour)

    def open(self) -> HourlyBill:
        return HourlyBill(self._meter)

    def foresee(self, prompt_tokens: int, completion_tokens: int, seconds: float) -> float | None:
        return self._usd_per_hour * seconds / 3600


class HourlyBill:
    """One call's share of the hour."""

    def __init__(self, meter: HourlyMeter) -> None:
        self._meter, self._mark = meter, meter.start()
        self._usd: float | None = None

    def close(self) -> None:
        self._usd = self._meter.finish(self._mark)

    def usd(self, usage: Usage | None) -> float | None:
        return self._usd


class Charges(NamedTuple):
    """By role; of one and the same model where it plays several."""

    student: Charge
    teacher: Charge
    proposer: Charge


def charge_by(price: Price | None) -> Charge:
    if price is None:
        return Unknown()
    return PerToken(price) if price.usd_per_hour is None else PerHour(price.usd_per_hour)
