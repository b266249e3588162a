"""What a request is taken for before it runs, and what it counts as once it is over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError

from engine.chat import Usage
from engine.errors import EngineServerError
from engine.prices import Price
from gateway.accounting.cost import MeteredStudent
from gateway.errors import as_gateway_error
from gateway.limits.demand import NOTHING, Demand, taken
from gateway.place import Asked, ServedStudent
from tests.gateway.limits.test_allowance import ASK, ask, client_of, limited
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


BROKEN = as_gateway_error(EngineServerError("The engine failed.", status=500))


@pytest.mark.parametrize("status", [200, 502])
def test_what_the_engine_counted_is_the_truth(status: int) -> None:
    assert taken(student(COUNTED, COUNTED), ESTIMATE, status) == pytest.approx((240, 0.24))


@pytest.mark.parametrize("status", [200, 499, 504])
def test_what_may_have_been_paid_and_was_not_counted_is_the_estimate(status: int) -> None:
    assert taken(student(None), ESTIMATE, status) == ESTIMATE


def test_a_client_that_leaves_after_more_than_the_estimate_pays_what_was_counted() -> None:
    assert taken(student(Usage(900, 100), None), ESTIMATE, 499) == pytest.approx((1000, 1.0))


def test_what_failed_at_the_engine_took_what_the_calls_before_it_took() -> None:
    assert taken(student(COUNTED, None), ESTIMATE, 502, BROKEN) == pytest.approx((120, 0.12))
    assert taken(student(None), ESTIMATE, 502, BROKEN) == NOTHING


def test_what_came_by_uncounted_is_taken_if_it_is_more_than_the_estimate() -> None:
    left = student(None)
    left.seen = 900
    assert taken(left, ESTIMATE, 499) == pytest.approx((900, 0.9))


def test_a_teacher_that_was_left_is_paid_at_its_own_price() -> None:
    dear = Price(usd_per_million_input=5000, usd_per_million_output=20_000)
    teacher = ServedStudent(None, dear, None, None)  # type: ignore[arg-type]
    climbed = student(COUNTED)
    climbed.book(climbed.start(Asked(teacher, None)), None)  # type: ignore[arg-type]
    assert taken(climbed, ESTIMATE, 499) == pytest.approx((300, 6.0))


def test_answers_that_are_given_up_because_another_failed_are_paid(
    tmp_path: Path, upstream: Upstream
) -> None:
    """Else whoever makes one of several answers fail would have the others for nothing."""
    upstream.script = Script("no fields", then=Script(trouble="stall"))
    with limited(tmp_path, upstream, "tpm = 1000") as gateway, client_of(gateway) as client:
        with pytest.raises(APIStatusError, match="program_output_invalid"):
            client.chat.completions.create(model="quiz", messages=ASK, n=2)
        upstream.reset()
        left = int(ask(client)["x-ratelimit-remaining-tokens"])
    assert left < 400  # three estimates of 240 each, and not one


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
