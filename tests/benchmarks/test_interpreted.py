from __future__ import annotations

import asyncio

from benchmarks.interpreted import AT_ONCE, STEPS, runs, seconds_per_step, sides, summarise, table

FOUND = {"stock DSPy": [0.002, 0.004, 0.002], "ours": [0.0005, 0.001, 0.001]}


def test_every_side_gives_the_same_answer() -> None:
    async def answers() -> set[str]:
        asked = [await ask() for ask in sides().values()]
        return {getattr(one, "answer", None) or getattr(one, "outputs", {})["answer"] for one in asked}

    assert asyncio.run(answers()) == {"42"}


def test_each_round_is_compared_within_itself() -> None:
    report = summarise(FOUND)
    assert report["times_as_fast_as"] == {"stock DSPy": 4.0}
    assert report["steps_per_second"] == {"stock DSPy": 500.0, "ours": 1000.0}


def test_the_table_says_whether_the_goal_is_reached() -> None:
    assert table(summarise(FOUND)).endswith("goal of 1,000 steps a second: reached")
    slow = {name: [2 * one for one in seconds] for name, seconds in FOUND.items()}
    assert table(summarise(slow)).endswith("goal of 1,000 steps a second: missed")


def test_a_round_runs_as_often_as_it_says() -> None:
    asked: list[int] = []

    async def ask() -> None:
        asked.append(1)

    asyncio.run(runs(ask, 2 * AT_ONCE))
    assert len(asked) == 2 * AT_ONCE
    assert seconds_per_step(ask, AT_ONCE) < 1 / STEPS
