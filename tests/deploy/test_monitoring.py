"""The dashboard and the alerts ask for nothing that the gateway and vLLM do not say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIStatusError, OpenAI
from prometheus_client.parser import text_string_to_metric_families

from engine.settings import GatewaySettings
from gateway.access.opening import open_gate
from gateway.fleet.gauges import FleetMetrics
from gateway.limits.allowance import Allowance
from gateway.limits.in_process import InProcess
from gateway.metrics import Metrics
from gateway.stores.opening import Stores
from gateway.traffic.metrics import TrafficMetrics
from programs.checks import must_mention
from tests.deploy.expressions import ADDED, DASHBOARD, Expression, expressions, panels
from tests.gateway.serving import fingerprint_of, make_plan, put_release, running_gateway, settings_for
from tests.gateway.upstream import Script, Upstream, running_upstream

VLLM = Path(__file__).parent / "vllm_metrics.txt"
EVERYWHERE = {"up": ADDED}
# What a quiet test does not bring about; their labels are read where they are declared.
RARE = {
    "gateway_canary_rollbacks_total",
    "gateway_cost_unknown_total",
    "gateway_engine_available",
    "gateway_engine_idle_cost_usd_total",
    "gateway_engine_refused_calls_total",
    "gateway_feedback_score_total",
    "gateway_feedback_total",
    "gateway_keys_unchecked_total",
    "gateway_limits_uncounted_total",
    "gateway_student_mismatches_total",
    "gateway_traffic_lost_total",
}

Labels = Mapping[str, set[str]]
"""The labels of each series, by its name in expressions."""


def labels_in(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def asked_for(client: OpenAI, **asked: Any) -> None:
    asking: Any = {"model": "quiz", "messages": [{"role": "user", "content": "q"}], **asked}
    try:
        answer = client.chat.completions.create(**asking)
        list(answer) if asked.get("stream") else None
    except APIStatusError as error:
        assert error.status_code in (429, 502)


def bring_about(client: OpenAI, upstream: Upstream) -> None:
    """One request of each kind that leaves something in the metrics."""
    asked_for(client, temperature=0)
    asked_for(client, temperature=0)
    asked_for(client, stream=True, seed=1)
    for script in (Script("unreadable"), Script(status=500)):
        upstream.script = script
        asked_for(client, seed=2)
    upstream.script = Script()
    asked_for(client, model="checked")
    asked_for(client, model="scarce")
    asked_for(client, model="scarce")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labels]:
    """What a scrape of a real gateway holds after traffic."""
    folder = tmp_path_factory.mktemp("monitored")
    with running_upstream() as upstream:
        student = fingerprint_of(upstream.url)
        teacher = {"teacher": {"name": "big", "usd_per_answer": 0.25}}
        put_release(folder / "releases", make_plan("quiz"), student, build=teacher)
        checked = make_plan("checked", checks=(must_mention("answer", "something else"),))
        put_release(folder / "releases", checked, student)
        put_release(folder / "releases", make_plan("scarce"), student)
        parts = (
            '[gateway.cache]\nstore = "memory"\n'
            "[limits.scarce]\nrpm = 1\n"
            '[programs.checked]\nescalate = ["retry"]\n'
        )
        with (
            running_gateway(settings_for(folder, upstream.url, gateway=parts)) as gateway,
            OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client,
            gateway.metrics.listener("127.0.0.1", 0) as port,
        ):
            bring_about(client, upstream)
            yield labels_in(httpx.get(f"http://127.0.0.1:{port}/metrics").text)


@pytest.fixture(scope="module")
def known(served: Labels, tmp_path_factory: pytest.TempPathFactory) -> Labels:
    """The same, with what traffic alone does not bring about, and with vLLM's own."""
    metrics = Metrics()
    FleetMetrics(metrics)
    TrafficMetrics(metrics)
    Allowance({}, InProcess(), metrics)
    open_gate(GatewaySettings(admin_port=1), Stores(str(tmp_path_factory.mktemp("keys") / "k.db")), metrics)
    collectors: Mapping[str, Any] = metrics._own._names_to_collectors
    declared = {
        f"{name}_total" if collector._type == "counter" else name: set(collector._labelnames)
        for name, collector in collectors.items()
    }
    rare = {name: labels for name, labels in declared.items() if name in RARE}
    assert set(rare) == RARE
    return {**EVERYWHERE, **rare, **labels_in(VLLM.read_text()), **served}


@pytest.mark.parametrize("expression", expressions(), ids=lambda it: it.place)
def test_an_expression_asks_for_nothing_that_is_not_said(expression: Expression, known: Labels) -> None:
    assert expression.series() - set(known) == set()
    wrong = {(name, label) for name, label in expression.selectors() if label not in known[name] | ADDED}
    assert wrong == set()
    assert expression.labels() <= set().union(*(known[name] for name in expression.series()))


def test_what_is_called_rare_is_what_traffic_does_not_bring_about(served: Labels) -> None:
    used = {name for expression in expressions() for name in expression.series()}
    of_gateway = {name for name in used if name.startswith("gateway_")}
    assert of_gateway - set(served) == RARE & used - set(served)
    assert of_gateway - RARE <= set(served)


def test_every_metric_that_is_watched_is_in_the_docs() -> None:
    page = "".join(path.read_text() for path in (Path(__file__).parents[2] / "docs").glob("*.md"))
    used = {name.removesuffix("_bucket") for it in expressions() for name in it.series()}
    listed = {name for name in used if name.startswith("gateway_")}
    assert {name for name in listed if name not in page} == set()


def test_alerts_and_panels_have_one_name_each() -> None:
    named = [expression.place for expression in expressions()]
    assert len(set(named)) == len(named)


def test_panels_lie_beside_each_other_and_have_one_number_each() -> None:
    board = json.loads(DASHBOARD.read_text())
    places = [panel["gridPos"] for panel in board["panels"]]
    assert len({panel["id"] for panel in board["panels"]}) == len(places)
    for one, next in pairwise(places):
        beside = one["y"] == next["y"] and one["x"] + one["w"] == next["x"]
        assert beside or (next["x"] == 0 and one["x"] + one["w"] == 24 and next["y"] == one["y"] + one["h"])
    assert len({panel.place for panel in panels()}) > 20
