from __future__ import annotations

import time

import pytest

from compiler.charge import charge_by
from engine.chat import Usage
from engine.prices import Price

PER_TOKEN = Price(usd_per_million_input=2.0, usd_per_million_output=10.0)


def test_a_call_by_the_token_costs_what_its_tokens_cost() -> None:
    bill = charge_by(PER_TOKEN).open()
    bill.close()
    assert bill.usd(Usage(1_000_000, 100_000)) == pytest.approx(3.0)


def test_a_call_whose_tokens_are_not_counted_has_an_unknown_cost() -> None:
    assert charge_by(PER_TOKEN).open().usd(None) is None
    assert charge_by(None).open().usd(Usage(1, 1)) is None


def test_calls_by_the_hour_share_the_time_in_which_they_run_together() -> None:
    charge = charge_by(Price(usd_per_hour=3600.0))
    first, second = charge.open(), charge.open()
    begun = time.monotonic()
    time.sleep(0.02)
    first.close()
    second.close()
    together = (first.usd(None) or 0) + (second.usd(None) or 0)
    assert 0.02 <= together <= time.monotonic() - begun + 0.01


def test_what_will_be_is_foreseen_by_tokens_or_by_time() -> None:
    assert charge_by(PER_TOKEN).foresee(1_000_000, 0, 99.0) == pytest.approx(2.0)
    assert charge_by(Price(usd_per_hour=0.5)).foresee(9, 9, 7200.0) == pytest.approx(1.0)
    assert charge_by(None).foresee(9, 9, 1.0) is None
