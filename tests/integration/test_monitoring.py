"""A real Prometheus with the configuration of deploy/, before a gateway that answers from a real engine."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.deploy.expressions import ALERTS, DEPLOY, Expression, expressions
from tests.gateway.serving import wait_until
from tests.integration.conftest import House, free_port, program_or_leave_out

PROMETHEUS = DEPLOY / "prometheus"


@dataclass(frozen=True)
class Prometheus:
    url: str

    def get(self, path: str, **asked: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=asked).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def values(self, expression: str) -> list[float]:
        return [float(found["value"][1]) for found in self.get("query", query=expression)["result"]]


def targets_in(folder: Path, gateway: str, engine: str) -> Path:
    """The configuration of deploy/, with other addresses and without its patience."""
    shutil.copy(ALERTS, folder)
    text = (PROMETHEUS / "prometheus.yml").read_text()
    for service, address in {"gateway:9091": gateway, "vllm:8000": engine, "15s": "1s"}.items():
        assert service in text
        text = text.replace(service, address)
    file = folder / "prometheus.yml"
    file.write_text(text)
    return file


@contextmanager
def running_prometheus(folder: Path, gateway: str, engine: str) -> Iterator[Prometheus]:
    address = f"127.0.0.1:{free_port()}"
    command = [
        program_or_leave_out("prometheus"),
        f"--config.file={targets_in(folder, gateway, engine)}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: process.poll() is not None or _is_ready(address), 30)
            yield Prometheus(f"http://{address}")
        finally:
            process.terminate()
            process.wait(30)


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def prometheus(gateway: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It has seen both targets, and a request between two looks at the gateway."""
    metrics, engine = (re.sub(r"^http://|/metrics$", "", url) for url in (gateway.metrics, gateway.engine))
    with (
        running_prometheus(tmp_path_factory.mktemp("prometheus"), metrics, engine) as prometheus,
        OpenAI(base_url=f"{gateway.gateway}/v1", api_key="unused") as client,
    ):
        wait_until(lambda: prometheus.values("sum(up)") == [2.0], 30)
        for _ in range(2):
            asked: Any = [{"role": "user", "content": "What is 3 + 4?"}]
            client.chat.completions.create(model="arithmetic", messages=asked)
        wait_until(lambda: sum(prometheus.values("sum(gateway_requests_total)")) >= 2, 30)
        yield prometheus


def test_promtool_takes_the_configuration_and_the_rules() -> None:
    promtool = program_or_leave_out("prometheus", "promtool")
    subprocess.run([promtool, "check", "config", PROMETHEUS / "prometheus.yml"], check=True)
    subprocess.run([promtool, "test", "rules", PROMETHEUS / "alerts_test.yml"], check=True)


def test_gateway_and_engine_are_up_and_every_rule_is_in_force(prometheus: Prometheus) -> None:
    targets = prometheus.get("targets", state="active")["activeTargets"]
    assert {target["labels"]["job"]: target["health"] for target in targets} == {
        "gateway": "up",
        "vllm": "up",
    }
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == ALERTS.read_text().count("- alert:")
    wait_until(lambda: all(it["health"] != "unknown" for it in _rules(prometheus)), 30)
    assert {rule["health"] for rule in _rules(prometheus)} == {"ok"}


def test_what_the_engine_reports_is_what_is_on_record(prometheus: Prometheus) -> None:
    asked = {name for it in expressions() for name in it.series() if name.startswith("vllm:")}
    assert asked - set(prometheus.get("label/__name__/values")) == set()


@pytest.mark.parametrize("expression", expressions(), ids=lambda it: it.place)
def test_prometheus_understands_an_expression(expression: Expression, prometheus: Prometheus) -> None:
    assert prometheus.get("query", query=expression.asked())["resultType"] == "vector"


def test_an_answer_is_seen_with_its_time_its_tokens_and_its_cost(prometheus: Prometheus) -> None:
    assert prometheus.values('sum(gateway_requests_total{model="arithmetic",status="200"})')[0] >= 2
    assert prometheus.values('sum(gateway_tokens_total{direction="output"})')[0] > 0
    assert prometheus.values("sum(gateway_cost_usd_total)")[0] > 0
    assert prometheus.values("sum(vllm:generation_tokens_total)")[0] > 0


def _rules(prometheus: Prometheus) -> list[dict[str, Any]]:
    return [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
