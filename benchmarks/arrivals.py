"""Load that comes at a constant rate, whether answers do or not.

Latency counts from the time at which a request was due, so a server that falls behind can't hide it. A
process of its own, which the benchmarks start on the core of the load:

    python -m benchmarks.arrivals PORT request.json --rate 200 --seconds 10
"""

from __future__ import annotations

import argparse
import itertools
import json
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httptools

from benchmarks.surroundings import percentile

THREADS = 64  # requests that can be on their way; one that is due and finds none free is late, and says so
GRACE = 10.0  # seconds after the last due time in which answers still count


@dataclass(frozen=True)
class Arrivals:
    """What the callers saw. What was never answered has the time until it was given up."""

    p50_ms: float
    p99_ms: float
    failed: int
    kept_up: bool
    """Whether the last answer came about when it should at this rate."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("request", type=Path, help="JSON with path, headers and body")
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    message = message_in(options.request)
    seen = offer(options.port, message, options.rate, int(options.rate * options.seconds))
    print(json.dumps(asdict(seen)))


def offer(port: int, message: bytes, rate: float, count: int) -> Arrivals:
    """Sends the message `count` times at the rate, each at its time as far as a caller is free."""
    start = time.perf_counter() + 0.1
    numbers = itertools.count()
    latencies: list[float] = []
    answered_at: list[float] = []
    failures: list[int] = []

    def call() -> None:
        caller = Caller(port)
        for number in numbers:
            if number >= count:
                caller.close()
                return
            due = start + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            left = start + count / rate + GRACE - time.perf_counter()
            if left <= 0 or caller.ask(message, left) != 200:
                failures.append(number)
            answered_at.append(time.perf_counter())
            latencies.append(answered_at[-1] - due)

    callers = [threading.Thread(target=call) for _ in range(min(THREADS, count))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return summary(latencies, len(failures), max(answered_at) - start, rate)


def summary(latencies: Sequence[float], failed: int, seconds: float, rate: float) -> Arrivals:
    """`seconds` is from the first due time to the last answer."""
    p50, p99 = (round(1000 * percentile(latencies, share), 3) for share in (0.5, 0.99))
    kept_up = not failed and seconds <= 1.05 * len(latencies) / rate + 0.1
    return Arrivals(p50, p99, failed, kept_up)


class Caller:
    """One connection, kept alive, that is opened again after it broke."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def ask(self, message: bytes, seconds: float) -> int:
        """The status of the answer, read whole; 0 where none came."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._port), seconds)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.settimeout(seconds)
            self._socket.sendall(message)
            return self._read(self._socket)
        except (OSError, httptools.HttpParserError):
            self.close()
            return 0

    def _read(self, connection: socket.socket) -> int:
        end = Ending()
        parser = end.parser = httptools.HttpResponseParser(end)
        while not end.complete:
            data = connection.recv(65536)
            if not data:
                raise ConnectionResetError("closed before the answer was whole")
            parser.feed_data(data)
        if end.closes:
            self.close()
        return int(parser.get_status_code())

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None


class Ending:
    """Hears from the parser when a message is complete, and whether its connection ends with it."""

    parser: httptools.HttpResponseParser

    def __init__(self) -> None:
        self.complete = self.closes = False

    def on_message_complete(self) -> None:
        self.complete = True
        self.closes = not self.parser.should_keep_alive()  # afterwards the parser says no of every message


def message_in(file: Path) -> bytes:
    """The request that a file describes: JSON with path, headers and body."""
    asked = json.loads(file.read_text())
    return http_message(asked["path"], asked["headers"], asked["body"])


def http_message(path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    all_headers = {"Host": "127.0.0.1", **headers, "Content-Length": str(len(data))}
    head = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + data


if __name__ == "__main__":
    main()
