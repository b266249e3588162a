"""Counting in one process: as every place does, and without ever giving more than a bucket has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.limits.counting import MINUTE, Change
from gateway.limits.in_process import InProcess
from tests.engine.clock import Clock
from tests.gateway.limits.places import SCENARIOS, Place, rate

LIMIT = 60


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_in_one_process(scenario: Callable[[Place], Awaitable[None]]) -> None:
    clock = Clock()
    await scenario(Place(InProcess(clock), clock))


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.5, 20.0, 61.0]),
        st.sampled_from([1, 20, LIMIT]),
        st.sampled_from([0, 10, LIMIT]),
        st.sampled_from([0.0, 0.7, 59.0, 70.0]),
    ),
    max_size=12,
)
"""Seconds after the one before, tokens reserved, of them used, and seconds it runs."""


@given(REQUESTS)
@example([(0.0, LIMIT, 0, 70.0), (61.0, LIMIT, LIMIT, 0.0), (20.0, LIMIT, LIMIT, 0.0)])
@settings(max_examples=200, deadline=None)
def test_over_any_time_no_more_is_used_than_the_limit_and_one_minutes_worth(
    requests: list[tuple[float, int, int, float]],
) -> None:
    """What a request used counts at the time it was granted, as a bucket without estimates has it."""

    async def run() -> None:
        clock = Clock()
        place = Place(InProcess(clock), clock)
        ends: list[tuple[float, str, Change]] = []
        level, seen = float(LIMIT), 0.0
        for pause, reserved, used, seconds in requests:
            at = clock.seconds + pause
            for end in sorted(each for each in ends if each[0] <= at):
                ends.remove(end)
                clock.seconds = max(clock.seconds, end[0])
                await place.settle(end[1], end[2])
            clock.seconds = at
            level, seen = min(level + (at - seen) * LIMIT / MINUTE, LIMIT), at
            id, answer = await place.ask(rate(amount=reserved))
            if answer.granted:
                level -= min(used, reserved)
                assert level >= -1e-3
                ends.append((at + seconds, id, Change(rate(reserved), min(used, reserved) - reserved, at)))

    asyncio.run(run())
