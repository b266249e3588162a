"""Many requests at the same moment, over one or more gateways."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from time import sleep

import aiohttp

BODY = {"model": "quiz", "messages": [{"role": "user", "content": "q"}]}


class Herd:
    """What became of the requests: how many had which status, and what those that were answered cost."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.codes: Counter[str] = Counter()
        self.usd = 0.0


def check_budget(budget: float, count: int, urls: Sequence[str]) -> Herd:
    """Asks so often at once, then one by one until nothing is left: at most one request too much was paid."""
    herd = stampede(count, urls)
    assert set(herd.statuses) == {200, 429} and set(herd.codes) == {"insufficient_quota"}
    spent, costly, refused = herd.usd, herd.usd / herd.statuses[200], 0
    while refused < 5:  # what others did not use is given back a moment after they are over
        sleep(0.05)
        one = stampede(1, urls)
        spent, refused = spent + one.usd, refused + one.statuses[429]
    assert budget <= spent < budget + costly
    return herd


def stampede(count: int, urls: Sequence[str]) -> Herd:
    """Asks the gateways in turn, `count` times at once, each over a connection of its own."""
    return asyncio.run(_run(count, urls))


async def _run(count: int, urls: Sequence[str]) -> Herd:
    herd = Herd()
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(_ask(session, urls[at % len(urls)], herd) for at in range(count)))
    return herd


async def _ask(session: aiohttp.ClientSession, url: str, herd: Herd) -> None:
    async with session.post(f"{url}/v1/chat/completions", json=BODY) as answer:
        body = await answer.json()
        herd.statuses[answer.status] += 1
        if answer.status == 200:
            herd.usd += float(answer.headers.get("x-smallforge-cost-usd", 0))
        else:
            herd.codes[body["error"]["code"]] += 1
