"""Tests for gateway/workers.py: the real command with several processes behind one port."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.commanded import ASK, Served, run, serving
from tests.gateway.serving import wait_until
from tests.gateway.upstream import Script, Upstream

PRICED = """
[engines.default]
urls = ["{url}"]
model = "tiny"
usd_per_hour = 3600
[students.default]
engine = "default"
"""


@pytest.fixture
def served(upstream: Upstream, tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, upstream, "--workers", "2") as served:
        wait_until(lambda: len(workers(served)) == 2, 60)
        yield served


def workers(served: Served) -> list[int]:
    """The process ids of those that work."""
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


def ask(served: Served, **changes: Any) -> int:
    """One request over a connection of its own."""
    return httpx.post(f"{served.url}/v1/chat/completions", json={**ASK, **changes}, timeout=20).status_code


def metric(served: Served, name: str) -> float:
    """The sum of a metric's series."""
    text = httpx.get(served.metrics_url).text
    families = text_string_to_metric_families(text)
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are told by Linux")


def test_all_workers_answer_and_their_metrics_add_up(served: Served) -> None:
    assert [ask(served) for _ in range(40)] == [200] * 40
    wait_until(lambda: metric(served, "gateway_requests_total") == 40)
    assert metric(served, "gateway_request_seconds_count") == 40
    assert metric(served, "gateway_in_flight_requests") == 0
    cpu = [sum(map(int, Path(f"/proc/{pid}/stat").read_text().split()[13:15])) for pid in workers(served)]
    assert len(cpu) == 2 and min(cpu) > 0


def test_a_worker_that_dies_is_replaced_and_no_count_is_lost(served: Served) -> None:
    assert [ask(served) for _ in range(10)] == [200] * 10
    killed = workers(served)[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in workers(served) and len(workers(served)) == 2, 20)
    assert [ask(served) for _ in range(10)] == [200] * 10
    wait_until(lambda: metric(served, "gateway_requests_total") == 20)


@contextmanager
def kept_asking(served: Served, clients: int = 6) -> Iterator[list[int | str]]:
    """Clients that keep their connections and try nothing twice ask while the block runs; how that went."""
    went, over = list[int | str](), threading.Event()

    def ask_on() -> None:
        with httpx.Client(base_url=served.url, timeout=20) as client:
            while not over.wait(0.02):
                try:
                    went.append(client.post("/v1/chat/completions", json=ASK).status_code)
                except httpx.TransportError as error:
                    went.append(repr(error))

    threads = [threading.Thread(target=ask_on) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield went
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_clients_notice_nothing_when_workers_are_replaced(served: Served, tmp_path: Path) -> None:
    former = workers(served)
    with kept_asking(served) as went:
        (tmp_path / "smallforge.toml").write_text("[gateway]\nstrict = true\n")
        served.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not {*former} & {*workers(served)}, 30)
        told_to_end = workers(served)[0]
        os.kill(told_to_end, signal.SIGTERM)
        wait_until(lambda: told_to_end not in workers(served), 30)
    assert {*went} == {200}
    assert len(workers(served)) == 2
    assert ask(served, user="me") == 400
    wait_until(lambda: metric(served, "gateway_requests_total") == len(went) + 1)


def test_a_configuration_that_can_not_serve_leaves_the_workers_as_they_are(
    served: Served, tmp_path: Path
) -> None:
    former = workers(served)
    for mistake, told in (
        ('student_check = "sometimes"', "the workers go on as they are: "),
        ('expose = ["large"]', "ended with 2: No engine has a model 'large' to expose"),
    ):
        (tmp_path / "smallforge.toml").write_text(mistake)
        served.process.send_signal(signal.SIGHUP)
        wait_until(partial(served.err.holds, told), 20)
        assert workers(served) == former and ask(served) == 200


def test_sigterm_lets_the_requests_of_all_workers_finish(served: Served, upstream: Upstream) -> None:
    upstream.reset(Script(seconds=3))
    pids, replies = workers(served), list[int]()
    askers = [threading.Thread(target=lambda: replies.append(ask(served))) for _ in range(8)]
    for asker in askers:
        asker.start()
    wait_until(lambda: len(upstream.asked) == 8)
    served.process.send_signal(signal.SIGTERM)
    for asker in askers:
        asker.join()
    served.process.wait(20)
    assert replies == [200] * 8
    assert served.process.returncode == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_workers_end_with_the_foreman(served: Served) -> None:
    pids = workers(served)
    served.process.kill()
    served.process.wait(10)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 20)


def test_an_engines_hour_is_charged_once_and_not_by_each_worker(upstream: Upstream, tmp_path: Path) -> None:
    (tmp_path / "smallforge.toml").write_text(PRICED.format(url=upstream.url))
    with serving(tmp_path, upstream, "--workers", "2", student=False) as served:
        wait_until(lambda: len(workers(served)) == 2, 20)
        time.sleep(2)
        before, begun = charged(served), time.monotonic()
        assert [ask(served) for _ in range(10)] == [200] * 10
        time.sleep(3)
        after, took = charged(served), time.monotonic() - begun
    # Idle time is booked once a second.
    assert after - before == pytest.approx(took, abs=2.5)


def charged(served: Served) -> float:
    return metric(served, "gateway_cost_usd_total") + metric(served, "gateway_engine_idle_cost_usd_total")


def test_workers_that_can_not_start_are_told_as_a_single_one_is(upstream: Upstream, tmp_path: Path) -> None:
    flags = ("--student", upstream.url, "--port", "0", "--metrics-port", "0", "--expose", "large")
    ended = run(tmp_path, "--workers", "2", *flags)
    assert ended.returncode == 2
    assert "No engine has a model 'large' to expose" in ended.stderr and "Traceback" not in ended.stderr


def test_a_taken_metrics_port_is_one_sentence(upstream: Upstream, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        flags = ("--student", upstream.url, "--port", "0", "--metrics-port", str(taken.getsockname()[1]))
        ended = run(tmp_path, "--workers", "2", *flags)
    assert ended.returncode == 2
    assert "--metrics-port names another port" in ended.stderr and "Traceback" not in ended.stderr
