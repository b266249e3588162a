"""The reliability numbers that concern engines: clients that leave, engines that are killed, that err."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import NamedTuple

from benchmarks.gateway_stand import Verdict
from benchmarks.reliability_kept import Row
from benchmarks.reliability_stand import Answer, Stand, ask, leave, own_folder, standing, wait_until
from benchmarks.surroundings import BenchmarkFailed

_AT_ONCE = 24
_SLACK = 0.5  # seconds that an error may come later than its time limit says
_KINDS = ("queued", "before the first token", "mid-stream", "unary")


@dataclass(frozen=True)
class Disconnects:
    """Clients that left, by the moment, and what of theirs ran on two seconds after the last had."""

    left: dict[str, int]
    still_running: int
    still_counted: float
    """In-flight calls by the gateway's own count."""

    def row(self) -> Row:
        moments = ", ".join(f"{number:,} {kind}" for kind, number in sorted(self.left.items()))
        left = self.still_running + self.still_counted
        return Row(
            what=f"{sum(self.left.values()):,} clients leave ({moments})",
            lost=f"{self.still_running} requests left running",
            numbers=asdict(self),
            verdicts=[Verdict("requests left running by clients that left", left, 0, at_least=False)],
        )


def disconnects(count: int, seed: int = 0) -> Disconnects:
    """Random clients leave at random moments, more of them at a time than the engine takes."""
    chance = random.Random(seed)
    kinds = [_KINDS[number % 4] for number in range(count)]
    chance.shuffle(kinds)
    fleet = "fleet.max_in_flight = 8\nfleet.queue = 1000\nfleet.queue_seconds = 30.0"
    with own_folder() as folder, standing(folder, 1, fleet) as stand:
        (engine,) = stand.engines
        asyncio.run(_all_leave(stand.port, kinds, chance))
        try:
            wait_until(lambda: engine.running() == 0, 2, "some are left")
        except BenchmarkFailed:
            pass
        left_over, counted = engine.running(), stand.metric("gateway_engine_in_flight_calls")
        after = asyncio.run(ask(stand.port, "echo=26"))
        if after.status != 200 or stand.metric("gateway_in_flight_requests") != 0:
            raise BenchmarkFailed(f"after the last client had left: {after.status}, {after.body[:200]!r}")
    return Disconnects(dict(Counter(kinds)), left_over, counted)


async def _all_leave(port: int, kinds: list[str], chance: random.Random) -> None:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(kind: str) -> None:
        async with room:
            match kind:
                case "queued":
                    await leave(port, "wait_ms=9000", stream=True, seconds=chance.uniform(0.0, 0.03))
                case "before the first token":
                    await leave(port, "wait_ms=9000", stream=True, seconds=chance.uniform(0.05, 0.2))
                case "mid-stream":
                    question = "tokens=400 step_ms=20"
                    await leave(port, question, stream=True, begun=True, seconds=chance.uniform(0.0, 0.05))
                case _:
                    await leave(port, "wait_ms=9000", stream=False, seconds=chance.uniform(0.0, 0.2))

    await asyncio.gather(*(one(kind) for kind in kinds))


@dataclass(frozen=True)
class Kills:
    """What came of the requests while engines were killed and started again, one after the other."""

    killed: int
    requests: int
    failed: int
    """That had not begun to stream."""
    broken_off: int
    """Streams of which the client had seen something."""
    sent_again: int
    longest_seconds: float
    failures: dict[str, int]

    def row(self) -> Row:
        broken = f"{self.broken_off:,} streams that had begun ended with an error"
        return Row(
            what=f"an engine of two is killed {self.killed} times under load",
            lost=f"{self.failed} of {self.requests:,} requests that had not begun to stream; "
            f"{self.sent_again:,} were sent again, {broken}",
            numbers=asdict(self),
            verdicts=[
                Verdict("failed requests that had not begun to stream", self.failed, 0, at_least=False)
            ],
        )


def kills(count: int, clients: int = 16) -> Kills:
    """Two engines under load; in turn one is killed, and the other has to do."""
    fleet = "fleet.together = 4\nfleet.eject_seconds = 1.0"
    with own_folder() as folder, standing(folder, 2, fleet) as stand:
        answers = asyncio.run(_while_killing(stand, count, clients))
        again = stand.metric("gateway_engine_retries_total")
    failures = Counter(
        f"{answer.status} {answer.error}" for answer in answers if _failed(answer) and not answer.begun
    )
    return Kills(
        killed=count,
        requests=len(answers),
        failed=sum(failures.values()),
        broken_off=sum(_failed(answer) and answer.begun for answer in answers),
        sent_again=round(again),
        longest_seconds=round(max(answer.seconds for answer in answers), 3),
        failures=dict(failures),
    )


def _failed(answer: Answer) -> bool:
    whole = b"[DONE]" in answer.body or b'"finish_reason":"stop"' in answer.body
    return answer.status != 200 or not whole


async def _while_killing(stand: Stand, count: int, clients: int) -> list[Answer]:
    answers: list[Answer] = []
    over = asyncio.Event()

    async def client(number: int) -> None:
        while not over.is_set():
            streams = number % 2 == 0
            answers.append(await ask(stand.port, "wait_ms=20 tokens=10 step_ms=5", stream=streams))

    asking = [asyncio.create_task(client(number)) for number in range(clients)]
    try:
        for number in range(count):
            await asyncio.sleep(0.5)
            await asyncio.to_thread(_kill_and_start, stand, number % 2)
    finally:
        over.set()
        await asyncio.gather(*asking)
    return answers


def _kill_and_start(stand: Stand, number: int) -> None:
    engine = stand.engines[number]
    engine.kill()
    time.sleep(0.5)
    engine.start()
    wait_until(stand.has_all_engines, 30, "a killed engine never came back")


class Expected(NamedTuple):
    """What a client is told of a fault, and in how many seconds; with status 200 as the last event."""

    fault: str
    streams: bool
    status: int
    code: str
    seconds: float = 0.0


TIMEOUTS = "timeouts.connect = 1.0\ntimeouts.first_byte = 1.0\ntimeouts.between = 1.0\ntimeouts.total = 2.5"
REFUSED, NOT_ACCEPTED = "refused", "not_accepted"
EXPECTED = (
    Expected("reset", False, 502, "engine_unreachable"),
    Expected("closed", False, 502, "engine_unreachable"),
    Expected("half_a_head", False, 502, "engine_unreachable"),
    Expected("half_a_body", False, 502, "engine_unreachable"),
    Expected("silence", False, 504, "engine_timeout", 1.0),
    Expected("head_only", False, 504, "engine_timeout", 1.0),
    Expected("trickle", False, 504, "engine_timeout", 1.0),
    Expected("page", False, 502, "engine_reply_invalid"),
    Expected("empty", False, 502, "engine_reply_invalid"),
    Expected("half_json", False, 502, "engine_reply_invalid"),
    Expected("no_choices", False, 502, "engine_reply_invalid"),
    Expected("no_text", False, 502, "engine_reply_invalid"),
    Expected("no_http", False, 502, "engine_reply_invalid"),
    Expected("error_500", False, 502, "engine_failed"),
    Expected("error_503", False, 502, "engine_failed"),
    Expected("error_429", False, 429, "rate_limited"),
    Expected("error_401", False, 502, "engine_credential_refused"),
    Expected("error_404", False, 502, "engine_refused_request"),
    Expected("error_400", False, 400, "engine_refused_request"),
    Expected("too_long", False, 400, "context_length_exceeded"),
    Expected("elsewhere", False, 502, "engine_reply_invalid"),
    Expected("silence", True, 504, "engine_timeout", 1.0),
    Expected("page", True, 502, "engine_reply_invalid"),
    Expected("reset_midway", True, 200, "engine_unreachable"),
    Expected("half_a_frame", True, 200, "engine_unreachable"),
    Expected("silence_midway", True, 200, "engine_timeout", 1.0),
    Expected("error_midway", True, 200, "engine_failed"),
    Expected("garbage_midway", True, 200, "engine_reply_invalid"),
    Expected("no_end", True, 200, "engine_reply_invalid"),
    Expected("never_ending", True, 200, "engine_timeout", 2.5),
    Expected(REFUSED, False, 502, "engine_unreachable"),
    Expected(NOT_ACCEPTED, False, 504, "engine_timeout", 1.0),
)


class Told(NamedTuple):
    expected: Expected
    status: int
    code: str | None
    seconds: float

    @property
    def right(self) -> bool:
        return (self.status, self.code) == (self.expected.status, self.expected.code)

    @property
    def late(self) -> bool:
        return self.seconds > self.expected.seconds + _SLACK

    def line(self) -> str:
        expected = self.expected
        name = expected.fault.replace("_", " ") + (", streamed" if expected.streams else "")
        how = f"{self.status} `{self.code}`" if self.status != 200 else f"a last event `{self.code}`"
        limit = f"{expected.seconds:g} s" if expected.seconds else "at once"
        return (
            f"| {name} | {how}{'' if self.right else ', which is wrong'} | {self.seconds:.2f} s | {limit} |"
        )

    def numbers(self) -> dict[str, object]:
        return {**self.expected._asdict(), "status": self.status, "told": self.code, "after": self.seconds}


class Faults(NamedTuple):
    """What clients were told of each."""

    told: Sequence[Told]

    def row(self) -> Row:
        right = sum(one.right for one in self.told)
        latest = max(one.seconds - one.expected.seconds for one in self.told)
        wrong, late = len(self.told) - right, sum(one.late for one in self.told)
        head = ["| Fault | The client is told | After | Limit |", "|---|---|---|---|"]
        return Row(
            what=f"{len(self.told)} faults of an engine",
            lost=f"{right} told as below, the latest {latest:.2f} s after its limit",
            numbers=[one.numbers() for one in self.told],
            verdicts=[
                Verdict("faults with another error than the documented one", wrong, 0, at_least=False),
                Verdict("faults told too late", late, 0, at_least=False),
            ],
            details="\n".join([*head, *(one.line() for one in self.told)]),
        )


def faults() -> Faults:
    """Each fault once, of a student with a single engine, so that nothing can mend it."""
    told: list[Told] = []
    with own_folder() as folder, standing(folder, 1, TIMEOUTS) as stand:
        (engine,) = stand.engines
        for expected in EXPECTED[:-2]:
            told.append(_told(stand, expected))
        engine.kill()
        told.append(_told(stand, EXPECTED[-2]))
        with _accepting_nobody(engine.port):
            told.append(_told(stand, EXPECTED[-1]))
    return Faults(told)


def _told(stand: Stand, expected: Expected) -> Told:
    answer = asyncio.run(ask(stand.port, f"fault={expected.fault}", stream=expected.streams))
    return Told(expected, answer.status, answer.error, round(answer.seconds, 3))


@contextmanager
def _accepting_nobody(port: int) -> Iterator[None]:
    """An address that takes no connection more: its line of those that wait is full."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(0)
        waiting = []
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            waiting.append(one)
        try:
            yield
        finally:
            for one in waiting:
                one.close()
