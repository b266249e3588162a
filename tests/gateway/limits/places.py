"""What every place that counts has to do: the same scenarios run in one process and on a real Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

import pytest

from gateway.limits.counting import Change, Claim, Counting, Reservation
from tests.engine.clock import Clock

DAY = 86400.0


async def nothing() -> None:
    """In one process what is settled is settled at once."""


@dataclass
class Place:
    """A place that counts, by a clock that passes when told; `written` waits until all is settled."""

    counting: Counting
    clock: Clock
    written: Callable[[], Awaitable[None]] = nothing
    _numbers: count[int] = field(default_factory=count)

    async def ask(self, *claims: Claim) -> tuple[str, Reservation]:
        id = f"request-{next(self._numbers)}"
        return id, await self.counting.reserve(id, claims)

    async def granted(self, *claims: Claim) -> bool:
        return (await self.ask(*claims))[1].granted

    async def settle(self, id: str, *changes: Change) -> None:
        self.counting.settle(id, changes)
        await self.written()


def rate(amount: float = 1, limit: float = 60, counter: str = "rate") -> Claim:
    return Claim(counter, "rate", limit, amount)


def seat(limit: float = 2) -> Claim:
    return Claim("seats", "seats", limit, 1)


def usd(amount: float, limit: float = 1.0, day: int = 0) -> Claim:
    return Claim("usd", "budget", limit, amount, f"1970-01-{day + 1:02}", (day + 1) * DAY)


async def a_minutes_worth_may_come_at_once_and_then_as_fast_as_it_refills(place: Place) -> None:
    assert [await place.granted(rate(limit=3)) for _ in range(4)] == [True, True, True, False]
    place.clock.seconds += 20
    assert [await place.granted(rate(limit=3)) for _ in range(2)] == [True, False]


async def a_refusal_says_when_it_would_be_granted(place: Place) -> None:
    await place.ask(rate(amount=50))
    (standing,) = (await place.ask(rate(amount=30)))[1].standings
    assert not standing.granted and standing.left == pytest.approx(10)
    assert standing.seconds == pytest.approx(20)
    place.clock.seconds += standing.seconds
    assert await place.granted(rate(amount=30))


async def a_request_gets_all_its_claims_or_none(place: Place) -> None:
    assert await place.granted(usd(1.5))
    for _ in range(3):
        answers = (await place.ask(rate(limit=1), seat(limit=1), usd(0.1)))[1]
        assert [standing.granted for standing in answers.standings] == [True, True, False]
    assert await place.granted(rate(limit=1), seat(limit=1))


async def tokens_that_were_not_used_are_given_back(place: Place) -> None:
    id, reserved = await place.ask(rate(amount=60))
    assert not await place.granted(rate())
    await place.settle(id, Change(rate(amount=60), -50, reserved.at))
    assert await place.granted(rate(amount=50)) and not await place.granted(rate())


async def tokens_beyond_the_estimate_are_owed(place: Place) -> None:
    id, reserved = await place.ask(rate(amount=10))
    await place.settle(id, Change(rate(amount=10), 80, reserved.at))
    (standing,) = (await place.ask(rate()))[1].standings
    assert not standing.granted and standing.seconds == pytest.approx(31)


async def what_has_refilled_by_itself_is_not_given_back(place: Place) -> None:
    id, reserved = await place.ask(rate(amount=60))
    place.clock.seconds += 60
    assert await place.granted(rate(amount=60))
    await place.settle(id, Change(rate(amount=60), -60, reserved.at))
    assert not await place.granted(rate())


async def seats_are_free_once_their_requests_are_over(place: Place) -> None:
    (first, one), (_, other) = await place.ask(seat()), await place.ask(seat())
    assert one.granted and other.granted and not await place.granted(seat())
    await place.settle(first, Change(seat(), 0, one.at))
    assert await place.granted(seat()) and not await place.granted(seat())


async def a_budget_lets_requests_in_until_it_is_spent_and_no_longer(place: Place) -> None:
    assert [await place.granted(usd(0.4)) for _ in range(4)] == [True, True, True, False]
    (standing,) = (await place.ask(usd(0.4)))[1].standings
    assert standing.left == 0 and standing.seconds == pytest.approx(DAY)


async def what_a_request_did_not_cost_can_be_spent(place: Place) -> None:
    id, reserved = await place.ask(usd(1.0))
    assert not await place.granted(usd(0.1))
    await place.settle(id, Change(usd(1.0), -0.75, reserved.at))
    (standing,) = (await place.ask(usd(0.25)))[1].standings
    assert standing.granted and standing.left == pytest.approx(0.5)


async def a_new_day_has_a_budget_of_its_own(place: Place) -> None:
    id, reserved = await place.ask(usd(1.0))
    place.clock.seconds = DAY
    assert await place.granted(usd(0.3, day=1))
    await place.settle(id, Change(usd(1.0), 5.0, reserved.at))
    (standing,) = (await place.ask(usd(0.3, day=1)))[1].standings
    assert standing.granted and standing.left == pytest.approx(0.4)


async def what_ran_uncounted_is_charged_afterwards(place: Place) -> None:
    await place.settle("uncounted", Change(usd(0.0), 0.9, 0.0), Change(rate(0), 30, 0.0))
    budget, tokens = (await place.ask(usd(0.1), rate(amount=30)))[1].standings
    assert budget.left == pytest.approx(0, abs=1e-12) and tokens.left == pytest.approx(0)


SCENARIOS = [
    a_minutes_worth_may_come_at_once_and_then_as_fast_as_it_refills,
    a_refusal_says_when_it_would_be_granted,
    a_request_gets_all_its_claims_or_none,
    tokens_that_were_not_used_are_given_back,
    tokens_beyond_the_estimate_are_owed,
    what_has_refilled_by_itself_is_not_given_back,
    seats_are_free_once_their_requests_are_over,
    a_budget_lets_requests_in_until_it_is_spent_and_no_longer,
    what_a_request_did_not_cost_can_be_spent,
    a_new_day_has_a_budget_of_its_own,
    what_ran_uncounted_is_charged_afterwards,
]
