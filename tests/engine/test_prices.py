"""What calls cost, and that nobody invents a price."""

from __future__ import annotations

import pytest

from engine.chat import Usage
from engine.prices import HourlyMeter, Price, price_of, token_cost
from engine.settings import EngineSettings
from tests.engine.clock import Clock


def test_a_price_nobody_told_is_unknown() -> None:
    assert price_of(EngineSettings("e", urls=("http://a",), model="openai/gpt-4.1")) is None
    assert price_of(EngineSettings("e", model="openai/no-such-model")) is None


def test_the_configured_price_wins_over_the_list() -> None:
    listed = price_of(EngineSettings("e", model="openai/gpt-4.1-mini"))
    assert listed is not None and listed.usd_per_million_output == 1.6 and "prices.toml" in listed.source
    own = EngineSettings("e", model="openai/gpt-4.1-mini", usd_per_million_input=1, usd_per_million_output=2)
    assert price_of(own) == Price(usd_per_million_input=1, usd_per_million_output=2)
    assert price_of(EngineSettings("e", usd_per_hour=0.0)) == Price(usd_per_hour=0.0)


def test_cached_tokens_cost_their_own_price_or_the_common_one() -> None:
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=500_000, cached_tokens=400_000)
    price = Price(usd_per_million_input=1.0, usd_per_million_output=4.0, usd_per_million_cached=0.1)
    assert token_cost(price, usage) == pytest.approx(0.6 + 0.04 + 2.0)
    assert token_cost(Price(usd_per_million_input=1.0, usd_per_million_output=4.0), usage) == pytest.approx(
        3.0
    )
    assert token_cost(Price(usd_per_hour=1.0), usage) is None


def test_calls_in_flight_share_the_hour() -> None:
    clock = Clock()
    meter = HourlyMeter(3600.0, clock)
    clock.seconds = 1.0
    first = meter.start()
    clock.seconds = 2.0
    second = meter.start()
    clock.seconds = 4.0
    assert meter.finish(first) == pytest.approx(1.0 + 1.0)
    clock.seconds = 5.0
    assert meter.finish(second) == pytest.approx(1.0 + 1.0)
    clock.seconds = 7.0
    assert meter.take_idle_usd() == pytest.approx(1.0 + 2.0)
    assert meter.take_idle_usd() == 0.0


def test_all_that_an_hour_costs_is_charged_once() -> None:
    clock = Clock()
    meter = HourlyMeter(7.2, clock)
    charged, marks = 0.0, []
    for step in range(3600):
        clock.seconds = float(step)
        if step % 7 < 4:
            marks.append(meter.start())
        elif marks:
            charged += meter.finish(marks.pop(0))
    clock.seconds = 3600.0
    charged += sum(meter.finish(mark) for mark in marks) + meter.take_idle_usd()
    assert charged == pytest.approx(7.2)
