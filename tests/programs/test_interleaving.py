"""Tests for programs/interleaving.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from programs.interleaving import interleaved


class Source:
    """A stream of numbers; knows whether it was closed."""

    def __init__(self, *numbers: int, seconds: float = 0.0, fails: bool = False) -> None:
        self.numbers = numbers
        self.seconds = seconds
        self.fails = fails
        self.closed = False

    async def items(self) -> AsyncGenerator[int]:
        try:
            for number in self.numbers:
                await asyncio.sleep(self.seconds)
                yield number
            if self.fails:
                raise ValueError("broken")
        finally:
            self.closed = True


@pytest.mark.parametrize("count", [1, 2, 5])
async def test_every_item_arrives_with_its_number_and_in_its_order(count: int) -> None:
    found = [item async for item in interleaved([Source(1, 2, 3).items() for _ in range(count)])]
    for number in range(count):
        assert [item for at, item in found if at == number] == [1, 2, 3]
    assert len(found) == 3 * count


async def test_a_slow_stream_does_not_hold_up_the_others() -> None:
    slow, quick = Source(1, seconds=0.2), Source(1, 2, 3)
    found = [at async for at, _ in interleaved([slow.items(), quick.items()])]
    assert found == [1, 1, 1, 0]


async def test_a_failure_is_raised_as_it_is_and_closes_the_others() -> None:
    broken, endless = Source(1, fails=True), Source(*range(100), seconds=0.05)
    with pytest.raises(ValueError, match="broken"):
        async for _ in interleaved([endless.items(), broken.items()]):
            pass
    assert endless.closed and broken.closed


async def test_a_consumer_that_leaves_closes_them_all() -> None:
    sources = [Source(*range(100), seconds=0.01) for _ in range(3)]
    async with aclosing(interleaved([source.items() for source in sources])) as items:
        await anext(items)
    assert all(source.closed for source in sources)
