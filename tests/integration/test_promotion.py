"""Releases change under a gateway that goes on answering."""

from __future__ import annotations

import asyncio
import time

from openai import AsyncOpenAI

from tests.integration.conftest import House
from tests.integration.test_client import USER


async def answering_release(client: AsyncOpenAI) -> str:
    raw = await client.chat.completions.with_raw_response.create(model="arithmetic", messages=[USER])
    return raw.headers["x-smallforge-release"].removeprefix("arithmetic@")


async def test_a_promoted_release_answers_within_two_seconds_and_no_request_is_dropped(
    gateway: House,
) -> None:
    champion = gateway.alias("arithmetic", "champion")
    gateway.run("compiler", "build", "arithmetic", "--optimizer", "none")
    candidate = gateway.alias("arithmetic", "candidate")
    assert candidate != champion
    asking, answered = True, list[tuple[float, str]]()

    async def ask_on(client: AsyncOpenAI) -> None:
        while asking:
            answered.append((time.monotonic(), await answering_release(client)))

    async with (
        AsyncOpenAI(base_url=f"{gateway.gateway}/v1", api_key="unused", max_retries=0) as client,
        asyncio.TaskGroup() as askers,
    ):
        for _ in range(4):
            askers.create_task(ask_on(client))
        await asyncio.sleep(0.5)
        forced = ("--force", "--reason", "to see it answer")
        await asyncio.to_thread(gateway.run, "compiler", "promote", f"arithmetic@{candidate}", *forced)
        promoted = time.monotonic()
        await asyncio.sleep(3)
        asking = False
    await asyncio.to_thread(gateway.run, "compiler", "rollback", "arithmetic")
    assert {release for at, release in answered if at > promoted + 2} == {candidate}
    assert {release for _, release in answered} == {champion, candidate}


async def test_a_broken_release_is_refused_and_the_old_one_goes_on(gateway: House) -> None:
    champion = gateway.alias("arithmetic", "champion")
    broken = gateway.folder / "releases" / "arithmetic" / "0123456789ab"
    broken.mkdir()
    (broken / "release.json").write_text("{}")
    await asyncio.sleep(2.5)
    async with AsyncOpenAI(base_url=f"{gateway.gateway}/v1", api_key="unused", max_retries=0) as client:
        assert await answering_release(client) == champion
        listed = {model.id async for model in client.models.list()}
    assert f"arithmetic@{broken.name}" not in listed
