"""Tests for gateway/fleet: several engines serve one student, and none of them is missed when it goes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from openai import OpenAI

from tests.gateway.fleet.engines import Engines, running_engines
from tests.gateway.serving import RunningGateway, fingerprint_of, make_plan, put_release, wait_until
from tests.gateway.upstream import REPLY, Script, Upstream

QUICK = "fleet.eject_after = 2\nfleet.eject_seconds = 0.3"


def test_a_release_stays_with_one_engine_until_that_one_has_much_to_do(tmp_path: Path) -> None:
    with running_engines(tmp_path, "fleet.together = 2") as engines:
        for _ in range(4):
            engines.ask()
        assert engines.asked() == [4, 0]
        engines.script(*[Script(seconds=1.5)] * 2)
        with ThreadPoolExecutor(6) as pool:
            statuses = [answer.status_code for answer in pool.map(lambda _: engines.ask(), range(6))]
        assert statuses == [200] * 6 and engines.second.asked != []


def test_one_engine_without_a_bound_is_asked_as_if_there_were_no_fleets(gateway: RunningGateway) -> None:
    assert "gateway_engine_in_flight_calls" not in gateway.metrics.text()


def test_each_release_has_its_own_order_of_the_engines(tmp_path: Path) -> None:
    with running_engines(tmp_path, number=3) as engines:
        taken = fingerprint_of(engines.first.url)
        names = [f"quiz{number}" for number in range(12)]
        for name in names:
            put_release(engines.gateway.releases, make_plan(name), taken)
        models = f"{engines.gateway.url}/v1/models/{names[-1]}"
        wait_until(lambda: httpx.get(models).status_code == 200)
        for name in names * 2:
            assert engines.ask(model=name).status_code == 200
        assert all(asked % 2 == 0 and asked > 0 for asked in engines.asked())


def test_an_engine_that_goes_is_not_missed_and_is_asked_again_when_it_comes_back(tmp_path: Path) -> None:
    with running_engines(tmp_path, QUICK) as engines:
        engines.stop(0)
        assert [engines.ask().status_code for _ in range(5)] == [200] * 5
        assert len(engines.second.asked) == 5
        assert engines.metric("retries_total", reason="unreachable") >= 1
        wait_until(lambda: engines.metric("available", member=engines.label(0)) == 0)
        ready = engines.ready()
        assert ready["status"] == "ready" and "can't be reached" in str(ready["students"])
        engines.start(0)
        wait_until(lambda: engines.ready()["students"] == {})
        wait_until(lambda: engines.ask().status_code == 200 and engines.first.asked != [])
        assert engines.metric("available", member=engines.label(0)) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_what_another_engine_can_mend_is_asked_there(tmp_path: Path, status: int) -> None:
    with running_engines(tmp_path) as engines:
        engines.first.script = Script(status=status)
        assert engines.ask().status_code == 200
        assert engines.ask(stream=True).text.endswith("data: [DONE]\n\n")
        assert len(engines.second.asked) == 2


@pytest.mark.parametrize("script", [Script(status=501), Script(status=400), Script(trouble="garbage")])
def test_what_another_engine_would_not_mend_is_told(tmp_path: Path, script: Script) -> None:
    with running_engines(tmp_path) as engines:
        engines.first.script = script
        assert engines.ask().status_code in (400, 502)
        assert engines.second.asked == []


def test_the_answer_is_an_error_where_every_engine_has_one(tmp_path: Path) -> None:
    with running_engines(tmp_path) as engines:
        engines.script(*[Script(status=429, headers={"retry-after": "7"})] * 2)
        answer = engines.ask()
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
        assert engines.asked() == [1, 1]
        engines.stop(0)
        engines.stop(1)
        assert engines.ask().json()["error"]["code"] == "engine_unreachable"


def test_what_an_engine_says_counts_more_than_that_the_other_is_gone(tmp_path: Path) -> None:
    with running_engines(tmp_path) as engines:
        engines.stop(1)
        wait_until(lambda: "can't be reached" in str(engines.ready()))
        engines.first.script = Script(status=503)
        assert engines.ask().json()["error"]["code"] == "engine_failed"


def test_without_retries_a_call_is_sent_once(tmp_path: Path) -> None:
    with running_engines(tmp_path, "fleet.retries = 0") as engines:
        engines.first.script = Script(status=503)
        assert engines.ask().status_code == 502
        assert engines.asked() == [1, 0]


def test_failures_in_a_row_eject_an_engine_and_one_call_tries_it_again(tmp_path: Path) -> None:
    with running_engines(tmp_path, "fleet.eject_after = 2\nfleet.eject_seconds = 2.0") as engines:
        engines.first.script = Script(status=501, then=Script(status=501, then=Script()))
        assert [engines.ask().status_code for _ in range(4)] == [502, 502, 200, 200]
        assert engines.asked() == [2, 2]
        member = {"member": engines.label(0)}
        assert engines.metric("ejections_total", **member) == 1
        wait_until(lambda: engines.ask().status_code == 200 and len(engines.first.asked) > 2)
        assert engines.metric("available", **member) == 1


def test_an_engine_that_fails_its_trial_is_left_alone_for_longer(tmp_path: Path) -> None:
    with running_engines(tmp_path, QUICK) as engines:
        engines.first.script = Script(status=501)
        wait_until(
            lambda: (
                bool(engines.ask()) is not None
                and engines.metric("ejections_total", member=engines.label(0)) == 2
            )
        )
        assert len(engines.first.asked) == 3, "two failures, then one trial"


@pytest.mark.parametrize("trouble", ["cut_midway", "error_midway"])
def test_a_stream_whose_engine_is_lost_before_its_first_text_comes_from_the_other(
    tmp_path: Path, trouble: Literal["cut_midway", "error_midway"]
) -> None:
    with running_engines(tmp_path) as engines:
        # The marker is cut off: something came of the engine, nothing of it was shown.
        engines.first.script = Script("[[ ## reasoning ## ]]\n" + " " * 8, trouble=trouble, piece=4)
        answer = engines.ask(stream=True)
        assert answer.status_code == 200 and "forty-two" in answer.text and '"error"' not in answer.text
        assert engines.asked() == [1, 1]


def test_a_stream_that_has_begun_is_not_begun_again(tmp_path: Path) -> None:
    with running_engines(tmp_path) as engines:
        engines.first.script = Script(trouble="cut_midway")
        answer = engines.ask(stream=True)
        assert answer.status_code == 200 and "engine_unreachable" in answer.text
        assert engines.asked() == [1, 0]


def test_an_engine_with_another_template_is_not_asked_and_readyz_says_why(tmp_path: Path) -> None:
    with running_engines(tmp_path, QUICK) as engines:
        engines.stop(0)
        assert engines.ask().status_code == 200
        engines.start(0)
        engines.first.template_tokens = 9
        wait_until(lambda: "Another tokenizer or chat template" in str(engines.ready()))
        told = next(iter(engines.ready()["students"].items()))
        assert "default, engine" in told[0] and "is not asked for quiz@" in told[1]
        assert [engines.ask().status_code for _ in range(3)] == [200] * 3
        assert engines.first.asked == []


def test_a_release_is_read_ahead_by_every_engine_that_may_serve_it(tmp_path: Path) -> None:
    with running_engines(tmp_path, warm=True) as engines:
        taken = fingerprint_of(engines.first.url)
        put_release(engines.gateway.releases, make_plan("new", prompt="Answer with care."), taken)
        wait_until(lambda: all(_has_read(engine, "Answer with care.") for engine in engines.upstreams))
        engines.stop(0)
        wait_until(lambda: engines.ready()["students"] != {})
        engines.start(0)
        wait_until(lambda: _has_read(engines.first, "Answer with care."))


def test_an_hour_of_each_engine_is_paid_by_the_calls_it_works_on(tmp_path: Path) -> None:
    with running_engines(tmp_path, price="usd_per_hour = 3600.0") as engines:
        engines.first.script = Script(seconds=0.5)
        (step,) = engines.ask(headers={"x-smallforge-trace": "1"}).json()["smallforge"]["steps"]
        assert abs(step["cost_usd"] - step["seconds"]) < 0.1, (
            "one of two machines worked, at a dollar a second"
        )
        idle = "gateway_engine_idle_cost_usd_total"
        before = engines.gateway.metric(idle, engine="default")
        wait_until(lambda: engines.gateway.metric(idle, engine="default") - before > 1.0, 5)


def test_a_client_that_leaves_frees_its_engine(tmp_path: Path) -> None:
    with running_engines(tmp_path) as engines:
        engines.script(*[Script(trouble="stall")] * 2)
        with _asking(engines):
            assert engines.first.stalled.wait(5)
            assert engines.metric("in_flight_calls", member=engines.label(0)) == 1
        assert engines.first.abandoned.wait(5)
        wait_until(lambda: engines.metric("in_flight_calls", member=engines.label(0)) == 0)
        assert engines.metric("ejections_total", member=engines.label(0)) == 0


def test_a_full_queue_answers_at_once_that_it_is_full(tmp_path: Path) -> None:
    settings = "fleet.max_in_flight = 1\nfleet.queue = 1\nfleet.queue_seconds = 2.0"
    with running_engines(tmp_path, settings, number=1) as engines, ThreadPoolExecutor(1) as pool:
        engines.first.script = Script(trouble="stall")
        with _asking(engines):
            assert engines.first.stalled.wait(5)
            waiting = pool.submit(engines.ask)
            wait_until(lambda: engines.metric("waiting_calls") == 1)
            full = engines.ask()
            assert (full.status_code, full.json()["error"]["code"]) == (503, "engines_busy")
            assert (full.headers["retry-after"], full.headers["x-should-retry"]) == ("1", "true")
            assert engines.metric("refused_calls_total", reason="full") == 1
            assert float(full.headers["x-smallforge-cost-usd"]) == 0, "no engine was asked"
            waited = waiting.result(10)
            assert waited.status_code == 503 and "within 2 seconds" in waited.json()["error"]["message"]
            assert engines.metric("refused_calls_total", reason="waited") == 1
        engines.first.reset()
        assert engines.ask().status_code == 200, "who left made room"


def test_those_that_wait_are_served_in_the_order_of_their_coming(tmp_path: Path) -> None:
    with running_engines(tmp_path, "fleet.max_in_flight = 1", number=1) as engines:
        engines.first.script = Script(seconds=2.0, then=Script())
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(_ask_about, engines, 0)]
            wait_until(lambda: engines.first.asked != [])
            for number in (1, 2, 3):
                asked.append(pool.submit(_ask_about, engines, number))
                wait_until(lambda number=number: engines.metric("waiting_calls") == number)  # type: ignore[misc]
            assert [answer.result(10) for answer in asked] == [200] * 4
        said = [body["messages"][-1]["content"] for body in engines.first.asked]
        assert [f"number{place}" in text for place, text in enumerate(said)] == [True] * 4


def test_openais_client_comes_back_to_a_fleet_that_was_full(tmp_path: Path) -> None:
    settings = "fleet.max_in_flight = 1\nfleet.queue = 0"
    with running_engines(tmp_path, settings, number=1) as engines:
        engines.first.script = Script(seconds=0.5, then=Script())
        with (
            ThreadPoolExecutor(1) as pool,
            OpenAI(base_url=f"{engines.gateway.url}/v1", api_key="k") as client,
        ):
            first = pool.submit(engines.ask)
            wait_until(lambda: engines.first.asked != [])
            ask: Any = [{"role": "user", "content": "q"}]
            reply = client.chat.completions.create(model="quiz", messages=ask)
            assert reply.choices[0].message.content == "forty-two" in REPLY
            assert first.result(5).status_code == 200


def _has_read(engine: Upstream, prompt: str) -> bool:
    head = {"role": "user", "content": "[[ ## question ## ]]\n"}
    asked = [body["messages"] for body in engine.requests]
    return any(said[0]["content"] == prompt and said[-1] == head for said in asked)


@contextmanager
def _asking(engines: Engines) -> Iterator[None]:
    """A client that waits for its answer until the block ends, and then leaves."""
    body = b'{"model": "quiz", "messages": [{"role": "user", "content": "q"}]}'
    address = httpx.URL(engines.gateway.url)
    with socket.create_connection((address.host, address.port or 80), timeout=10) as connection:
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        yield


def _ask_about(engines: Engines, number: int) -> int:
    return engines.ask(messages=[{"role": "user", "content": f"number{number}"}]).status_code
