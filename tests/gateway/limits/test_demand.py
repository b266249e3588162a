"""What a request is taken for before it runs, and what it counts as once it is over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.chat import Usage
from engine.prices import Price
from gateway.accounting.cost import MeteredStudent
from gateway.limits.demand import NOTHING, Demand, taken
from gateway.place import Asked, ServedStudent
from tests.gateway.limits.test_allowance import ask, client_of, limited
from tests.gateway.upstream import Script, Upstream

ESTIMATE = Demand(300, 0.5)
COUNTED = Usage(100, 20)
PRICE = Price(usd_per_million_input=1000, usd_per_million_output=1000)


def student(*calls: Usage | None, price: Price | None = PRICE) -> MeteredStudent:
    """One whose calls have told this of themselves; a call that ended without a word is None."""
    served = ServedStudent(None, price, None, None)  # type: ignore[arg-type]
    metered = MeteredStudent(Asked(served, None), None)  # type: ignore[arg-type]
    for usage in calls:
        metered.book(metered.start(), usage)
    return metered


@pytest.mark.parametrize("status", [200, 400, 499, 502, 504])
def test_what_never_reached_an_engine_took_nothing(status: int) -> None:
    assert taken(student(), ESTIMATE, status) == NOTHING


@pytest.mark.parametrize("status", [200, 502])
def test_what_the_engine_counted_is_the_truth(status: int) -> None:
    assert taken(student(COUNTED, COUNTED), ESTIMATE, status) == pytest.approx((240, 0.24))


@pytest.mark.parametrize("status", [200, 499, 504])
def test_what_may_have_been_paid_and_was_not_counted_is_the_estimate(status: int) -> None:
    assert taken(student(None), ESTIMATE, status) == ESTIMATE


def test_a_client_that_leaves_after_more_than_the_estimate_pays_what_was_counted() -> None:
    assert taken(student(Usage(900, 100), None), ESTIMATE, 499) == pytest.approx((1000, 1.0))


def test_what_failed_at_the_engine_took_what_the_calls_before_it_took() -> None:
    assert taken(student(COUNTED, None), ESTIMATE, 502) == pytest.approx((120, 0.12))
    assert taken(student(None), ESTIMATE, 502) == NOTHING


def test_leaving_early_frees_no_tokens(tmp_path: Path, upstream: Upstream) -> None:
    """Else whoever leaves before the engine's count comes would be served for nothing."""
    upstream.script = Script(trouble="stall_midway", then=Script())
    with limited(tmp_path, upstream, "tpm = 1000") as gateway, client_of(gateway) as client:
        asked: Any = {"model": "quiz", "messages": [{"role": "user", "content": "q"}], "stream": True}
        with client.chat.completions.create(**asked) as stream:
            next(iter(stream))
            assert upstream.stalled.wait(10)
        assert upstream.abandoned.wait(10)
        left = int(ask(client)["x-ratelimit-remaining-tokens"])
    assert left < 700  # two estimates of 240 each, and not one
