from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from compiler.backstage import Backstage
from compiler.errors import UserMistake


@pytest.fixture
def stage() -> Iterator[Backstage]:
    stage = Backstage()
    yield stage
    stage.close()


async def three() -> int:
    await asyncio.sleep(0)
    return 3


async def test_a_coroutine_is_called_like_a_function_where_a_loop_runs(stage: Backstage) -> None:
    assert asyncio.get_running_loop().is_running()
    assert stage.run(three()) == 3


def test_what_a_coroutine_raises_is_raised(stage: Backstage) -> None:
    async def broken() -> None:
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        stage.run(broken())


def test_ctrl_c_ends_the_work_and_lets_it_clean_up(stage: Backstage) -> None:
    cleaned: list[str] = []
    main = threading.main_thread().ident
    assert main is not None

    async def long() -> None:
        try:
            signal.pthread_kill(main, signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            cleaned.append("up")

    with pytest.raises(KeyboardInterrupt):
        stage.run(long())
    assert cleaned == ["up"]
    assert stage.run(three()) == 3


def test_what_was_entered_is_left_when_the_stage_is_cleared_or_closed(stage: Backstage) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def opened(name: str) -> AsyncIterator[str]:
        yield name
        told.append(f"{name} left")

    assert stage.enter(opened("one")) == "one"
    stage.clear()
    stage.enter(opened("two"))
    stage.close()
    stage.close()
    assert told == ["one left", "two left"]


def test_a_closed_stage_says_so(stage: Backstage) -> None:
    stage.close()
    with pytest.raises(UserMistake, match="the trainer was closed"):
        stage.run(three())
