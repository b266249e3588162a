from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from programs.together import in_turn, together


async def test_results_come_in_the_order_of_what_was_asked() -> None:
    async def one(number: int) -> int:
        await asyncio.sleep(0.01 / (number + 1))
        return number

    assert await together(one(n) for n in range(5)) == await in_turn((one(n) for n in range(5)), 2)


async def test_no_more_are_made_than_run_at_once() -> None:
    made = done = most = 0

    async def one() -> None:
        nonlocal done
        await asyncio.sleep(0)
        done += 1

    def all_of_them() -> Iterator[Coroutine[Any, Any, None]]:
        nonlocal made, most
        for _ in range(100):
            made += 1
            most = max(most, made - done)
            yield one()

    await in_turn(all_of_them(), 7)
    assert done == 100 and most == 7


async def test_the_first_failure_is_raised_and_nothing_is_left_running() -> None:
    async def one(number: int) -> None:
        await asyncio.sleep(0)
        if number == 3:
            raise ConnectionError("gone")

    for many in (together(one(n) for n in range(9)), in_turn((one(n) for n in range(9)), 2)):
        with pytest.raises(ConnectionError, match="gone"):
            await many
    assert len(asyncio.all_tasks()) == 1
