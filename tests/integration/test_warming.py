"""A release's constant prompt lies in the engine's prefix cache before the first request to it."""

from __future__ import annotations

import re
import time
import urllib.request
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from engine.client import EngineClient
from gateway.warming import constant_prompts
from programs.execution import PlanExecutor
from programs.plan import Message, Plan
from programs.release import read_release
from tests.gateway.serving import put_release
from tests.integration.conftest import House, furnish, running

ASK: Any = [{"role": "user", "content": "Anna has 12 apples. She buys 4 more. How many apples has she?"}]


def block_size(engine_url: str) -> int:
    with urllib.request.urlopen(f"{engine_url}/metrics") as page:
        found = re.search(r'vllm:cache_config_info{.*?block_size="(\d+)"', page.read().decode())
    assert found is not None
    return int(found[1])


def wait_for_line(log: Path, words: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while words not in log.read_text(errors="replace"):
        assert time.monotonic() < end, f"{log.name} never says {words!r}"
        time.sleep(0.1)


async def constant_tokens(engine_url: str, plan: Plan) -> int:
    """Tokens up to the end of the last demonstration."""
    (ahead,) = constant_prompts(PlanExecutor(plan))
    async with EngineClient(engine_url, "smallforge-student") as client:
        tokens = [await client.tokenize([*ahead[:-1], {"role": "user", "content": x}]) for x in ("a", "b")]
    assert tokens[0] and tokens[1]
    return next(at for at, (a, b) in enumerate(zip(*tokens, strict=True)) if a != b)


@pytest.mark.asyncio
async def test_the_first_request_finds_the_constant_prompt_in_the_prefix_cache(
    house: House, built: str, engine_url: str, tmp_path: Path
) -> None:
    assert built
    release = read_release(house.folder / "releases" / "arithmetic" / house.alias("arithmetic", "champion"))
    assert release.plan is not None
    # A first word that nobody said before: nothing of this prompt can be in the cache by chance.
    new = Message("system", f"{uuid.uuid4()} {release.plan.prefix[0].content}")
    plan = replace(release.plan, program="fresh", prefix=(new, *release.plan.prefix[1:] * 3))
    one = furnish(tmp_path, engine_url)
    put_release(one.folder / "releases", plan, release.identity.fingerprint)
    with (
        running(["gateway", "serve"], one.folder, f"{one.gateway}/readyz", 60),
        OpenAI(base_url=f"{one.gateway}/v1", api_key="unused", max_retries=0) as client,
    ):
        wait_for_line(one.folder / "gateway.log", "is warm on")
        usage = client.chat.completions.create(model="fresh", messages=ASK, max_tokens=4).usage
    size = block_size(engine_url)
    whole = await constant_tokens(engine_url, plan) // size * size
    assert usage is not None and usage.prompt_tokens_details is not None
    assert whole >= 2 * size
    assert usage.prompt_tokens_details.cached_tokens is not None
    assert usage.prompt_tokens_details.cached_tokens >= 0.95 * whole
