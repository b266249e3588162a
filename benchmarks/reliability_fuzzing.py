"""The number for what strangers send: bad bodies, headers, HTTP and replies of engines at a running gateway,
and the fuzzers of tests/security at the code that reads them.

What is counted was sent and its answer seen, or was run by libFuzzer by its own count.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.gateway_stand import Verdict
from benchmarks.kept_connection import KeptConnection, post_bytes
from benchmarks.mixed_load import EXPOSED
from benchmarks.reliability_kept import Row
from benchmarks.reliability_stand import SURROUNDINGS, Stand, ask, own_folder, standing
from tests.security.inputs import BODIES, HEADER_VALUES, HEADERS, VALUES, cases_of, damaged
from tests.security.targets import TARGETS

_PROGRAMS = ("quiz", "counting", "reading")
_PATHS = ("chat/completions", "responses", "completions", "embeddings")
_BATCH, _AT_ONCE = 1_000, 24
_TIMEOUTS = "timeouts.first_byte = 2.0\ntimeouts.between = 2.0\ntimeouts.total = 4.0"
_WAITS = 0.3  # seconds for an answer to HTTP that may not be whole; then our side ends
_GIVES_UP = 20.0
_CHAT = b'{"model":"quiz","messages":[{"role":"user","content":"echo=26"}]}'
_DONE = re.compile(r"^Done (\d+) runs", re.MULTILINE)


class Source(NamedTuple):
    """One sort of bad input. `often` is of a hundred; `statuses` are what may be answered, 0 for nothing."""

    name: str
    often: int
    inputs: st.SearchStrategy[bytes]
    statuses: frozenset[int]
    is_http: bool = True
    """Whether each is a whole request, as far as HTTP is concerned."""


@dataclass
class BadInputs:
    """By source how many there were; what was answered; what was a fault of the gateway."""

    sent: dict[str, int] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    """By the fuzzers that go by coverage."""
    answers: dict[str, dict[str, int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(self.sent.values()) + sum(self.read.values())

    def row(self) -> Row:
        sent, read = sum(self.sent.values()), sum(self.read.values())
        told = ", ".join(f"{number:,} {name}" for name, number in self.sent.items())
        faults = sum(statuses.get("500", 0) for statuses in self.answers.values())
        return Row(
            what=f"{self.count:,} bad inputs: {sent:,} sent to a gateway ({told}), {read:,} read by its "
            "parsers under fuzzers that go by coverage",
            lost=f"{len(self.crashes)} crashes, {faults} answers with 500",
            numbers=asdict(self),
            verdicts=[
                Verdict("crashes by bad inputs", len(self.crashes), 0, at_least=False),
                Verdict("bad inputs answered with 500", faults, 0, at_least=False),
                Verdict("bad inputs answered as they should not be", len(self.wrong), 0, at_least=False),
            ],
        )


def bad_inputs(count: int) -> BadInputs:
    """Half of them to a running gateway, half by coverage."""
    found = BadInputs()
    with own_folder() as folder, standing(folder, 1, _settings(), programs=_PROGRAMS) as stand:
        for source in sources():
            if stand.served.poll() is None:
                wanted = max(1, count * source.often // 200)
                found.sent[source.name] = asyncio.run(_send(stand, source, wanted, found))
        _check(stand, found)
    for name in sorted(TARGETS):
        found.read[name] = _by_coverage(name, max(1, count // 2 // len(TARGETS)), found)
    return found


def _settings() -> str:
    return f'expose = ["{EXPOSED}"]\n{_TIMEOUTS}'


def sources() -> list[Source]:
    """What is made of the corpus, and from nothing."""
    request = post_bytes("/v1/chat/completions", _CHAT)
    refused = frozenset({200, 400, 404})
    replies = [
        *_cases("engine_reply"),
        *map(_streamed, _cases("events")),
        *map(_replied, _cases("reply")),
    ]
    return [
        Source("bodies of any JSON", 35, st.builds(_body, st.sampled_from(_PATHS), BODIES | VALUES), refused),
        Source("damaged bodies", 20, _damaged_bodies(), refused),
        Source(
            "headers", 5, st.builds(_header, st.sampled_from(HEADERS), HEADER_VALUES), refused | {402, 504}
        ),
        Source("damaged HTTP", 25, damaged([request]), refused | {0, 405, 413, 415, 431}, is_http=False),
        Source(
            "damaged replies of an engine", 15, damaged(replies).map(_asking_for), refused | {429, 502, 504}
        ),
    ]


def _cases(target: str) -> list[bytes]:
    """What is kept of it, without the byte that decides how the target reads the rest."""
    return [case[1:] for case in cases_of(target)]


def _body(path: str, body: Any) -> bytes:
    if path == "responses" and isinstance(body, dict):
        body = {"input" if name == "messages" else name: value for name, value in body.items()}
    if isinstance(body, dict) and path == "chat/completions" and len(str(body)) % 4 == 0:
        body = {**body, "model": EXPOSED}
    return post_bytes(f"/v1/{path}", json.dumps(body).encode())


def _damaged_bodies() -> st.SearchStrategy[bytes]:
    def of(target: str, path: str) -> st.SearchStrategy[bytes]:
        return damaged(_cases(target)).map(lambda body: post_bytes(path, body))

    return of("chat", "/v1/chat/completions") | of("responses", "/v1/responses")


def _header(name: str, value: bytes) -> bytes:
    line = b"\r\n%b: %b\r\n\r\n" % (name.encode(), value)
    return post_bytes("/v1/chat/completions", _CHAT).replace(b"\r\n\r\n", line, 1)


def _streamed(events: bytes) -> bytes:
    """The reply of an engine that streams these events."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(events) + events


def _replied(text: bytes) -> bytes:
    """The reply of an engine whose model says this."""
    message = {"role": "assistant", "content": text.decode(errors="replace")}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({"id": "c", "object": "chat.completion", "choices": [choice]}).encode()
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )


def _asking_for(reply: bytes) -> bytes:
    """A request that the engine answers with just this."""
    streams = b"event-stream" in reply
    chat = {
        "model": "quiz",
        "messages": [{"role": "user", "content": f"say={reply.hex()}"}],
        "stream": streams,
    }
    return post_bytes("/v1/chat/completions", json.dumps(chat).encode())


def drawn(inputs: st.SearchStrategy[bytes], count: int, turn: int) -> list[bytes]:
    """As many inputs as hypothesis makes of them, the same for the same turn."""
    found: list[bytes] = []

    @seed(turn)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def note(data: bytes) -> None:
        found.append(data)

    note()
    return found[:count]


async def _send(stand: Stand, source: Source, count: int, found: BadInputs) -> int:
    """Sends them in batches; gives how many there were."""
    sent, answers = 0, Counter[str]()
    for turn in itertools.count():
        batch = drawn(source.inputs, min(_BATCH, count - sent), turn)
        left = iter(batch)
        throw = _asked if source.is_http else _thrown

        async def client(left: Iterator[bytes], throw: _Throw) -> None:
            connection = KeptConnection(stand.port)
            for data in left:
                for status in await throw(connection, stand.port, data):
                    answers[str(status)] += 1
                    if status not in source.statuses:
                        found.wrong.append(f"{source.name}: {status} for {data[:2000]!r}")
            connection.close()

        await asyncio.gather(*(client(left, throw) for _ in range(_AT_ONCE)))
        sent += len(batch)
        if sent >= count or stand.served.poll() is not None:
            break
    found.answers[source.name] = dict(answers)
    return sent


_Throw = Callable[[KeptConnection, int, bytes], Awaitable[Sequence[int]]]


async def _asked(connection: KeptConnection, port: int, data: bytes) -> Sequence[int]:
    """The status of the answer to a request; 0 where it broke off."""
    answer = await connection.ask(data)
    return [answer.status if answer.whole else 0]


async def _thrown(connection: KeptConnection, port: int, data: bytes) -> Sequence[int]:
    """The statuses of whatever is answered to some bytes; 0 where nothing is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = b""
    with closing(writer), suppress(OSError):
        writer.write(data)
        with suppress(TimeoutError):
            answered = await asyncio.wait_for(reader.read(65536), _WAITS)
        writer.write_eof()
        answered += await asyncio.wait_for(reader.read(), _GIVES_UP)
    return [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d{3}) ", answered, re.MULTILINE)] or [0]


def _check(stand: Stand, found: BadInputs) -> None:
    """Notes what is no longer as it was: the gateway's answers, its count, its log."""
    if stand.served.poll() is not None:
        found.crashes.append(f"the gateway ended with {stand.served.returncode}")
        return
    answer = asyncio.run(ask(stand.port, "echo=26"))
    if answer.status != 200:
        found.crashes.append(f"after all: {answer.status} {answer.body[:300]!r}")
    if stand.metric("gateway_in_flight_requests"):
        found.crashes.append("requests are left running")
    log = (stand.folder / "gateway.log").read_text(errors="replace")
    found.crashes += re.findall(r"^Traceback.*?\n(?=\S)[^\n]*", log, re.MULTILINE | re.DOTALL)


def _by_coverage(name: str, runs: int, found: BadInputs) -> int:
    """How often libFuzzer ran the target; what made it fail is noted."""
    command = [sys.executable, "-m", "tests.security.fuzz", name, f"-runs={runs}", "-max_len=4096"]
    command += ["-timeout=30", f"-seed={random.Random(name).randrange(1, 2**31)}"]
    with own_folder() as folder:
        done = subprocess.run(
            command, cwd=folder, env=SURROUNDINGS, capture_output=True, text=True, check=False
        )
    told = _DONE.search(done.stderr)
    if done.returncode or told is None:
        found.crashes.append(f"{name}: {done.stderr[-2000:]}")
    return int(told[1]) if told else 0
