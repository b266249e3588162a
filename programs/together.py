"""Runs awaitables together, all or none: when one fails or the caller leaves, the others are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

Result = TypeVar("Result")


async def together(coroutines: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Their results in order; the first failure is raised as it is, after the others have stopped."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def in_turn(coroutines: Iterable[Coroutine[Any, Any, Result]], at_once: int) -> list[Result]:
    """The same, `at_once` of them at a time; the next is made when one is done, so any number may come."""
    results: dict[int, Result] = {}
    numbered = enumerate(coroutines)

    async def work() -> None:
        for number, coroutine in numbered:
            results[number] = await coroutine

    await together(work() for _ in range(at_once))
    return [results[number] for number in range(len(results))]
