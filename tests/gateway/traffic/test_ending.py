"""What is left of the traffic log when a gateway ends, by a signal or by force; and with several workers.

Each gateway is a process of its own, started by the command.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.gateway.commanded import ASK, Served, serving
from tests.gateway.traffic.entries import kept, said
from tests.gateway.upstream import Upstream

_MAY_BE_LOST = 1.0  # seconds of requests, at most, when a gateway is killed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "smallforge.toml").write_text("[gateway.traffic]\nlog = true\n")
    return tmp_path


def ask(served: Served, client: httpx.Client) -> str:
    reply = client.post(f"{served.url}/v1/chat/completions", json=ASK)
    assert reply.status_code == 200
    return str(reply.json()["id"])


def in_log(folder: Path) -> set[str]:
    return {row["response_id"] for row in kept(folder / "gateway.db")}


def test_what_was_answered_before_sigterm_is_all_there(folder: Path, upstream: Upstream) -> None:
    with serving(folder, upstream) as served, httpx.Client() as client:
        answered = {ask(served, client) for _ in range(30)}
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(30) == 0
    assert in_log(folder) == answered


def test_a_gateway_that_is_killed_loses_a_second_at_most(folder: Path, upstream: Upstream) -> None:
    answered: dict[str, float] = {}
    with serving(folder, upstream) as served, httpx.Client() as client:
        end = time.monotonic() + 2 * _MAY_BE_LOST
        while time.monotonic() < end:
            id = ask(served, client)
            answered[id] = time.monotonic()
        served.process.kill()
        killed = time.monotonic()
        served.process.wait(30)
    safe = {id for id, at in answered.items() if at < killed - _MAY_BE_LOST}
    assert safe and safe <= in_log(folder)


def test_workers_write_into_one_log_and_take_feedback_on_each_others_answers(
    folder: Path, upstream: Upstream
) -> None:
    answered = set()
    with serving(folder, upstream, "--workers", "2") as served:
        for _ in range(12):
            # A connection of its own each time: the system gives it to whichever worker it likes.
            with httpx.Client() as client:
                id = ask(served, client)
            answered.add(id)
            told = httpx.post(f"{served.url}/v1/feedback", json={"response_id": id, "score": 1})
            assert told.status_code == 200, told.text
        metrics = httpx.get(served.metrics_url).text
        served.process.send_signal(signal.SIGTERM)
        served.process.wait(30)
    assert in_log(folder) == answered
    assert {one["response_id"] for one in said(folder / "gateway.db")} == answered
    assert 'gateway_feedback_total{kind="score",model="quiz"' in metrics
