"""Reads many streams of stamped tokens at once and tells how many came, how fast, and how long each was on
its way.

While tokens come, only bytes and times are kept; they are read afterwards. A process of its own, which the
benchmarks start on the core of the load:

    python -m benchmarks.token_reader PORT request.json --streams 64
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import cast

import uvloop

from benchmarks.arrivals import message_in
from benchmarks.surroundings import percentile

_STAMP = re.compile(rb'[ "](\d{16})')
_LAST = b"0\r\n\r\n"

Part = tuple[int, bytes]
"""What one read gave, and the time in nanoseconds at which it did."""


@dataclass(frozen=True)
class Told:
    """One stream: of each token when it was sent and when it came; how many events they came in."""

    asked: int
    tokens: Sequence[tuple[int, int]]
    deltas: int


@dataclass(frozen=True)
class Heard:
    """All streams together; a token's wait is from the upstream's write to our read."""

    tokens: int
    deltas: int
    tokens_per_second: float
    wait_p50_ms: float
    wait_p99_ms: float
    wait_max_ms: float
    first_token_ms: float
    """The median time from a request to its first token."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("request", type=Path, help="JSON with path, headers and body")
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--times", type=int, default=1, help="requests one after the other in each stream")
    parser.add_argument("--apart", type=float, default=0.0, help="seconds between two streams' beginnings")
    options = parser.parse_args()
    told = uvloop.run(listen(options, message_in(options.request)))
    print(json.dumps(asdict(heard(told))))


async def listen(options: argparse.Namespace, message: bytes) -> list[Told]:
    """Opens the connections, then asks on all of them."""
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(Listener, "127.0.0.1", options.port) for _ in range(options.streams)
    ]

    async def ask(listener: Listener, delay: float) -> list[Told]:
        await asyncio.sleep(delay)
        return [read_parts(*await listener.ask(message)) for _ in range(options.times)]

    found = await asyncio.gather(
        *(ask(listener, number * options.apart) for number, (_, listener) in enumerate(opened))
    )
    return [told for stream in found for told in stream]


class Listener(asyncio.Protocol):
    """One connection that keeps what comes on it until a reply is whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    async def ask(self, message: bytes) -> tuple[int, list[Part]]:
        """When the request was sent, and what came."""
        self._parts: list[Part] = []
        self._end = b""
        self._whole: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asked = time.monotonic_ns()
        self._transport.write(message)
        await self._whole
        return asked, self._parts

    def data_received(self, data: bytes) -> None:
        self._parts.append((time.monotonic_ns(), data))
        self._end = (self._end + data)[-len(_LAST) :]
        if self._end == _LAST:
            self._whole.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._whole.done():
            self._whole.set_exception(error or ConnectionResetError("closed before the reply was whole"))


def read_parts(asked: int, parts: Sequence[Part]) -> Told:
    """Finds the tokens; one that came in two parts came with the second.

    A gateway may tell the whole answer once more at its end: only stamps that rise are tokens.
    """
    tokens: list[tuple[int, int]] = []
    rest, last = b"", 0
    for came, data in parts:
        text, begun = rest + data, 0
        for found in _STAMP.finditer(text):
            sent, begun = int(found[1]), found.end()
            if sent > last:
                tokens.append((sent, came))
                last = sent
        rest = text[max(begun, len(text) - 16) :]
    events = b"".join(data for _, data in parts).split(b"data: ")
    pieces = (event for event in events if b'"content":' in event)
    return Told(asked, tokens, sum(1 for piece in pieces if _STAMP.search(piece)))


def heard(told: Sequence[Told]) -> Heard:
    tokens = [token for stream in told for token in stream.tokens]
    waits = [(came - sent) / 1e6 for sent, came in tokens]
    lasted = max(came for _, came in tokens) - min(stream.asked for stream in told)
    firsts = [(stream.tokens[0][1] - stream.asked) / 1e6 for stream in told]
    return Heard(
        tokens=len(tokens),
        deltas=sum(stream.deltas for stream in told),
        tokens_per_second=round(len(tokens) / (lasted / 1e9), 1),
        wait_p50_ms=round(percentile(waits, 0.5), 3),
        wait_p99_ms=round(percentile(waits, 0.99), 3),
        wait_max_ms=round(max(waits), 3),
        first_token_ms=round(median(firsts), 3),
    )


if __name__ == "__main__":
    main()
