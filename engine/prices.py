"""What an engine costs, in USD: by the token or by the hour. Unknown is None and never 0.

Prices come from the configuration; for hosted models whose engine names none, from `prices.toml` beside this
file, which is changed by hand with a new version and never over the network.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.chat import Usage
from engine.meter_sheet import OwnSheet, Sheet
from engine.settings import EngineSettings

_PER_HOUR = 3600.0
_PER_MILLION = 1e6


@dataclass(frozen=True)
class Price:
    """Either by the hour or by the million tokens. `source` says where it is from."""

    usd_per_hour: float | None = None
    usd_per_million_input: float | None = None
    usd_per_million_output: float | None = None
    usd_per_million_cached: float | None = None
    source: str = "configuration"


def price_of(engine: EngineSettings) -> Price | None:
    """The price of an engine; None if nobody told it."""
    if engine.usd_per_hour is not None:
        return Price(usd_per_hour=engine.usd_per_hour)
    if engine.usd_per_million_input is not None and engine.usd_per_million_output is not None:
        return Price(
            usd_per_million_input=engine.usd_per_million_input,
            usd_per_million_output=engine.usd_per_million_output,
            usd_per_million_cached=engine.usd_per_million_cached,
        )
    # A server of one's own costs what it costs, whatever its model is called: the list is for hosted models.
    hosted = engine.model is not None and not engine.urls
    return _listed().get(engine.model or "") if hosted else None


def token_cost(price: Price, usage: Usage) -> float | None:
    """USD for one call; None for a price by the hour. Cached tokens cost what others do, if untold."""
    if price.usd_per_million_input is None or price.usd_per_million_output is None:
        return None
    cached = usage.cached_tokens or 0
    per_cached = price.usd_per_million_cached
    per_cached = price.usd_per_million_input if per_cached is None else per_cached
    million_usd = (
        (usage.prompt_tokens - cached) * price.usd_per_million_input
        + cached * per_cached
        + usage.completion_tokens * price.usd_per_million_output
    )
    return million_usd / _PER_MILLION


class HourlyMeter:
    """Shares the cost of an engine's time among the calls in flight: each of k pays usd_per_hour / k.

    `start` and `finish` bracket a call; time with no call in flight is idle, kept apart. For one event loop;
    with a shared `sheet` calls of other processes count among the k.
    """

    def __init__(
        self, usd_per_hour: float, now: Callable[[], float] = time.monotonic, sheet: Sheet | None = None
    ) -> None:
        self._usd_per_second = usd_per_hour / _PER_HOUR
        self._now = now
        self._sheet = OwnSheet(now()) if sheet is None else sheet

    def start(self) -> float:
        """A call begins; keep the mark for `finish`."""
        with self._sheet:
            self._settle()
            self._sheet.add_calls(1)
            return self._sheet.per_call

    def finish(self, mark: float) -> float:
        """A call ends; returns its USD."""
        with self._sheet:
            self._settle()
            self._sheet.add_calls(-1)
            return self._sheet.per_call - mark

    def take_idle_usd(self) -> float:
        """The cost of idle time since this was last asked, by whoever asks."""
        with self._sheet:
            self._settle()
            idle, self._sheet.idle = self._sheet.idle, 0.0
            return idle

    def _settle(self) -> None:
        """Book the time since the last change; between two changes the number of calls is constant."""
        sheet, now = self._sheet, self._now()
        usd = (now - sheet.settled) * self._usd_per_second
        sheet.settled = now
        in_flight = sheet.in_flight
        if in_flight:
            # What any one call in flight has paid since the beginning of time; a call pays the difference.
            sheet.per_call += usd / in_flight
        else:
            sheet.idle += usd


@cache
def _listed() -> dict[str, Price]:
    data = tomllib.loads((Path(__file__).parent / "prices.toml").read_text(encoding="utf-8"))
    source = f"prices.toml {data['version']}"
    return {name: Price(source=source, **entry) for name, entry in data["models"].items()}
