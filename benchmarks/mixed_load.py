"""Everything that clients do, mixed: whole answers and streams of several programs, engines' own models,
requests that must be refused, and clients that leave.

Each request has a number that its answer must hold, so one that another got is found. Either as many as
clients in a row can ask, or at a rate. A process of its own:

    python -m benchmarks.mixed_load PORT --seconds 20
    python -m benchmarks.mixed_load PORT --seconds 3600 --rate 500
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import uvloop

from benchmarks.kept_connection import Answer, KeptConnection, post, post_bytes

PROGRAMS = tuple(f"quiz_{number}" for number in range(8))
EXPOSED = "tiny"
MARK = b"%09d"
_PLACE = "echo=000000000"
_WORK = {False: "wait_ms=30", True: "wait_ms=10 tokens=10 step_ms=5"}
_BUCKETS = tuple(0.001 * 1.1**step for step in range(130))  # seconds; the last is about four minutes


class Kind(NamedTuple):
    """One thing that clients do. `often` is of all kinds' sum; `status` what it must be answered with."""

    name: str
    often: int
    messages: Sequence[bytes]
    status: int = 200
    ends: bytes = b""
    """What the last of a stream must be."""
    leaves: Literal["", "waiting", "reading"] = ""


def kinds() -> list[Kind]:
    done, completed = b"data: [DONE]\n\n", b'"type":"response.completed"'
    return [
        Kind("chat", 30, [_chat(name) for name in PROGRAMS]),
        Kind("chat, streamed", 24, [_chat(name, stream=True) for name in PROGRAMS], ends=done),
        Kind("three choices", 4, [_chat(name, n=3) for name in PROGRAMS]),
        Kind("responses", 6, [_response(name) for name in PROGRAMS]),
        Kind("responses, streamed", 6, [_response(name, stream=True) for name in PROGRAMS], ends=completed),
        Kind("exposed model", 8, [_chat(EXPOSED)]),
        Kind("exposed model, streamed", 6, [_chat(EXPOSED, stream=True)], ends=done),
        Kind("refused, 400", 6, _wrong(), 400),
        Kind("refused, 404", 4, [_chat("nobody"), post("/v1/nowhere", {})], 404),
        Kind("left while waiting", 3, [_chat(name) for name in PROGRAMS], leaves="waiting"),
        Kind("left while reading", 3, [_chat(name, stream=True) for name in PROGRAMS], leaves="reading"),
    ]


def _chat(model: str, **more: Any) -> bytes:
    question = f"{_PLACE} {_WORK[bool(more.get('stream'))]}"
    return post(
        "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": question}], **more}
    )


def _response(model: str, *, stream: bool = False) -> bytes:
    return post("/v1/responses", {"model": model, "input": f"{_PLACE} {_WORK[stream]}", "stream": stream})


def _wrong() -> list[bytes]:
    path, told = "/v1/chat/completions", [{"role": "user", "content": "q"}]
    return [
        post_bytes(path, b'{"model": "quiz_0", "messages": ['),
        post_bytes(path, b"\xff\xfe"),
        post(path, {"model": PROGRAMS[1], "messages": []}),
        post(path, {"model": PROGRAMS[2], "messages": told, "temperature": "hot"}),
        post(path, {"model": PROGRAMS[3], "messages": told, "n": 1_000}),
        post(path, {"model": PROGRAMS[4], "messages": [{"role": "user", "content": "fault=error_400"}]}),
        post("/v1/responses", {"model": PROGRAMS[5], "input": 7}),
    ]


@dataclass
class Seen:
    """What the clients saw. An error is an answer that is not as it must be."""

    requests: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    samples: list[str] = field(default_factory=list)
    seconds: float = 0.0
    latest: float = 0.0
    """Seconds after it was due at which a request was sent, at the most; 0 without a rate."""
    slowest: float = 0.0
    waits: dict[str, list[int]] = field(default_factory=dict)
    """Right answers of each kind, by how long they took: see `_BUCKETS`."""

    @classmethod
    def read(cls, told: dict[str, Any]) -> Seen:
        """What another process printed."""
        return cls(**{**told, "requests": Counter(told["requests"]), "errors": Counter(told["errors"])})

    def note(self, kind: Kind, number: int, answer: Answer, seconds: float) -> None:
        self.requests[kind.name] += 1
        self.slowest = max(self.slowest, seconds)
        if wrong := what_is_wrong(kind, number, answer):
            self.errors[f"{kind.name}: {wrong}"] += 1
            if len(self.samples) < 20:
                self.samples.append(f"{kind.name}, {answer.status}: {answer.body[-300:]!r}")
        elif not kind.leaves:
            waits = self.waits.setdefault(kind.name, [0] * (len(_BUCKETS) + 1))
            waits[bisect_left(_BUCKETS, seconds)] += 1


def what_is_wrong(kind: Kind, number: int, answer: Answer) -> str:
    """Why the answer is not as it must be; nothing where it is."""
    if kind.leaves:
        right = (200,) if kind.leaves == "reading" else (0, 200)
        return "" if answer.status in right else f"status {answer.status}"
    if answer.status != kind.status:
        return f"status {answer.status}"
    if not answer.whole:
        return "broken off"
    if kind.status == 200 and MARK % number not in answer.body:
        return "another request's answer"
    if kind.ends not in answer.body[-2 * len(kind.ends) - 2000 :]:
        return "not ended as it should"
    return ""


def percentile_of(waits: Sequence[int], share: float) -> float:
    """Seconds that this share of the requests took at most, by the buckets."""
    wanted, found = share * sum(waits), 0
    for most, count in zip((*_BUCKETS, float("inf")), waits, strict=True):
        found += count
        if found >= wanted:
            return most
    return float("inf")


@dataclass(frozen=True)
class Pace:
    """How many clients there are, and requests per second; with a rate of 0 as many as there can be."""

    clients: int = 192
    rate: float = 0.0


async def load(port: int, pace: Pace, seen: Seen, over: Callable[[float], bool]) -> None:
    """Asks until `over` says so of the seconds since it began; at a rate as far as a client is free."""
    numbers, order = itertools.count(1), _order()
    start = time.perf_counter()

    async def client() -> None:
        connection, chance = KeptConnection(port), random.Random()
        try:
            for number in numbers:
                due = start + number / pace.rate if pace.rate else time.perf_counter()
                if over(due - start):
                    return
                await asyncio.sleep(due - time.perf_counter() if pace.rate else 0)
                begun = time.perf_counter()
                seen.latest = max(seen.latest, begun - due)
                kind = next(order)
                answer = await _ask(connection, kind, number, chance)
                seen.note(kind, number, answer, time.perf_counter() - begun)
        finally:
            connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(pace.clients):
            group.create_task(client())
    seen.seconds = time.perf_counter() - start


async def _ask(connection: KeptConnection, kind: Kind, number: int, chance: random.Random) -> Answer:
    message = kind.messages[number % len(kind.messages)]
    message = message.replace(_PLACE.encode(), b"echo=" + MARK % number)
    if kind.leaves:
        return await connection.leave(message, chance.uniform(0.0, 0.02), begun=kind.leaves == "reading")
    return await connection.ask(message)


def _order(seed: int = 0) -> Iterator[Kind]:
    """All kinds as often as they are, in an order by chance that comes again and again."""
    turn = [kind for kind in kinds() for _ in range(kind.often)]
    random.Random(seed).shuffle(turn)
    return itertools.cycle(turn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=0.0, help="requests per second; 0 is as many as can be")
    options = parser.parse_args()
    seen = Seen()
    until = options.seconds
    uvloop.run(load(options.port, Pace(rate=options.rate), seen, lambda seconds: seconds > until))
    print(json.dumps(vars(seen)))


if __name__ == "__main__":
    main()
