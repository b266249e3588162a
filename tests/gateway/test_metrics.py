"""Tests for gateway/metrics.py, by what requests leave in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from openai import APIStatusError, OpenAI

from gateway.metrics import Metrics
from programs.checks import must_mention
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.upstream import REPLY, Script, Upstream

ASK: Any = [{"role": "user", "content": "q"}]
WRONG = REPLY.replace("forty-two", "forty-three")
NAMES = [
    "gateway_requests_total",
    "gateway_request_seconds",
    "gateway_overhead_seconds",
    "gateway_upstream_seconds",
    "gateway_time_to_first_token_seconds",
    "gateway_in_flight_requests",
    "gateway_tokens_total",
    "gateway_cost_usd_total",
    "gateway_teacher_cost_usd_total",
    "gateway_engine_idle_cost_usd_total",
    "gateway_cost_unknown_total",
    "gateway_parse_failures_total",
    "gateway_check_failures_total",
    "gateway_check_retries_total",
    "gateway_upstream_errors_total",
]


class Reading:
    """What the metrics of one release gained since this was made."""

    def __init__(self, gateway: RunningGateway, client: OpenAI, model: str = "quiz") -> None:
        card: Any = client.models.retrieve(model)
        self._gateway = gateway
        self._labels = {"model": model, "release": card.smallforge["release"].split("@")[1]}
        self._before: dict[str, float] = {}

    def __call__(self, name: str, **labels: str) -> float:
        return self._gateway.metric(name, **self._labels, **labels)

    def gains(self, amount: float, name: str, **labels: str) -> None:
        """Waits until a series has grown by an amount since the first call for it."""
        key = name + str(labels)
        before = self._before.setdefault(key, self(name, **labels))
        wait_until(lambda: self(name, **labels) == pytest.approx(before + amount, abs=1e-10))


@pytest.fixture
def reading(gateway: RunningGateway, client: OpenAI) -> Reading:
    return Reading(gateway, client)


def test_the_metrics_have_the_names_of_the_documentation(gateway: RunningGateway, client: OpenAI) -> None:
    client.chat.completions.create(model="quiz", messages=ASK)
    types = [line.split()[2] for line in gateway.metrics.text().splitlines() if line.startswith("# TYPE")]
    families = {name for name in types if not name.endswith("_created")}
    assert set(NAMES) <= families
    page = Path(__file__).parents[2].joinpath("docs", "gateway.md").read_text()
    assert all(f"`{family}`" in page or f"`{family}{{" in page for family in families)


def test_a_request_is_counted_with_its_tokens_and_times(reading: Reading, client: OpenAI) -> None:
    expected = [
        (1, "gateway_requests_total", {"status": "200"}),
        (1, "gateway_request_seconds_count", {}),
        (1, "gateway_upstream_seconds_count", {}),
        (1, "gateway_overhead_seconds_count", {}),
        (len(REPLY.split()), "gateway_tokens_total", {"direction": "output", "cached": "false"}),
    ]
    for _, name, labels in expected:
        reading.gains(0, name, **labels)
    client.chat.completions.create(model="quiz", messages=ASK)
    for amount, name, labels in expected:
        reading.gains(amount, name, **labels)


def test_cached_tokens_are_told_apart(reading: Reading, client: OpenAI) -> None:
    names = [{"direction": "input", "cached": cached} for cached in ("true", "false")]
    before = [reading("gateway_tokens_total", **labels) for labels in names]
    usage = client.chat.completions.create(model="quiz", messages=ASK).usage
    assert usage is not None
    wait_until(
        lambda: sum(reading("gateway_tokens_total", **n) for n in names) == sum(before) + usage.prompt_tokens
    )
    assert reading("gateway_tokens_total", **names[0]) == before[0] + usage.prompt_tokens // 2


def test_the_cost_in_the_metrics_is_the_cost_in_the_header(reading: Reading, client: OpenAI) -> None:
    reading.gains(0, "gateway_cost_usd_total")
    raw = client.chat.completions.with_raw_response.create(model="quiz", messages=ASK)
    cost = float(raw.headers["x-smallforge-cost-usd"])
    assert cost > 0
    reading.gains(cost, "gateway_cost_usd_total")


def test_the_teacher_is_charged_for_answers_only(
    reading: Reading, client: OpenAI, upstream: Upstream
) -> None:
    reading.gains(0, "gateway_teacher_cost_usd_total")
    client.chat.completions.create(model="quiz", messages=ASK)
    reading.gains(0.25, "gateway_teacher_cost_usd_total")
    upstream.script = Script(status=500)
    with pytest.raises(APIStatusError):
        client.chat.completions.create(model="quiz", messages=ASK)
    reading.gains(0.25, "gateway_teacher_cost_usd_total")


def test_a_release_without_a_scored_teacher_has_no_such_series(
    gateway: RunningGateway, client: OpenAI, upstream: Upstream
) -> None:
    upstream.script = Script(
        text=REPLY.replace("## answer", "## steps ## ]]\n[]\n\n[[ ## answer").replace("forty-two", "42")
    )
    client.chat.completions.create(model="counting", messages=ASK)
    assert 'gateway_teacher_cost_usd_total{model="counting"' not in gateway.metrics.text()


def test_failures_are_counted_by_their_kind(
    gateway: RunningGateway, reading: Reading, client: OpenAI, upstream: Upstream
) -> None:
    errors = gateway.metric("gateway_upstream_errors_total", reason="server_error")
    reading.gains(0, "gateway_parse_failures_total")
    for script in (Script(status=500), Script(text="no fields")):
        upstream.script = script
        with pytest.raises(APIStatusError):
            client.chat.completions.create(model="quiz", messages=ASK)
    reading.gains(1, "gateway_parse_failures_total")
    wait_until(lambda: gateway.metric("gateway_upstream_errors_total", reason="server_error") == errors + 1)


def test_a_streamed_request_has_a_time_to_its_first_text(reading: Reading, client: OpenAI) -> None:
    reading.gains(0, "gateway_time_to_first_token_seconds_count")
    list(client.chat.completions.create(model="quiz", messages=ASK, stream=True))
    reading.gains(1, "gateway_time_to_first_token_seconds_count")


def test_unknown_models_share_one_series(gateway: RunningGateway, client: OpenAI) -> None:
    labels = {"model": "unknown", "release": "", "status": "404"}
    before = gateway.metric("gateway_requests_total", **labels)
    for n in range(3):
        with pytest.raises(APIStatusError):
            client.chat.completions.create(model=f"stranger-{n}", messages=ASK)
    wait_until(lambda: gateway.metric("gateway_requests_total", **labels) == before + 3)
    assert "stranger" not in gateway.metrics.text()


def test_idle_time_of_an_engine_priced_by_the_hour_is_booked(gateway: RunningGateway) -> None:
    before = gateway.metric("gateway_engine_idle_cost_usd_total", engine="default")
    wait_until(lambda: gateway.metric("gateway_engine_idle_cost_usd_total", engine="default") > before)


def test_an_unknown_price_is_counted_and_never_zero(upstream: Upstream, tmp_path: Path) -> None:
    version = put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    with (
        running_gateway(settings_for(tmp_path, upstream.url, price="")) as gateway,
        OpenAI(base_url=f"{gateway.url}/v1", api_key="k") as client,
    ):
        raw = client.chat.completions.with_raw_response.create(model="quiz", messages=ASK)
        assert "x-smallforge-cost-usd" not in raw.headers
        wait_until(lambda: gateway.metric("gateway_cost_unknown_total", model="quiz", release=version) == 1)
        assert "gateway_cost_usd_total{" not in gateway.metrics.text()


@pytest.mark.parametrize("trouble", ["none", "no_usage"])
def test_tokens_are_priced_where_the_engine_counts_them(
    upstream: Upstream, tmp_path: Path, trouble: Any
) -> None:
    put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    price = "usd_per_million_input = 1.0\nusd_per_million_output = 2.0"
    upstream.script = Script(trouble=trouble)
    with (
        running_gateway(settings_for(tmp_path, upstream.url, price=price)) as gateway,
        OpenAI(base_url=f"{gateway.url}/v1", api_key="k") as client,
    ):
        raw = client.chat.completions.with_raw_response.create(model="quiz", messages=ASK)
        usage = raw.parse().usage
        if trouble == "no_usage":
            assert usage is None and "x-smallforge-cost-usd" not in raw.headers
        else:
            assert usage is not None
            expected = (usage.prompt_tokens + 2 * usage.completion_tokens) / 1e6
            assert float(raw.headers["x-smallforge-cost-usd"]) == pytest.approx(expected, abs=1e-9)


def test_every_attempt_at_an_answer_is_paid_for_also_where_none_passed(
    upstream: Upstream, tmp_path: Path
) -> None:
    plan = make_plan(checks=(must_mention("answer", "forty-two"),), check_retries=3)
    put_release(tmp_path / "releases", plan, fingerprint_of(upstream.url))
    upstream.script = Script(WRONG, then=Script(REPLY, then=Script(WRONG)))
    price, words = "usd_per_million_input = 0.0\nusd_per_million_output = 1.0", len(REPLY.split())
    with (
        running_gateway(settings_for(tmp_path, upstream.url, price=price)) as gateway,
        OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client,
    ):
        passed = client.chat.completions.with_raw_response.create(model="quiz", messages=ASK)
        with pytest.raises(APIStatusError) as failed:
            client.chat.completions.create(model="quiz", messages=ASK)
    costs = [float(reply.headers["x-smallforge-cost-usd"]) for reply in (passed, failed.value.response)]
    assert costs == pytest.approx([2 * words / 1e6, 4 * words / 1e6])


def test_the_listener_serves_what_was_counted() -> None:
    metrics = Metrics()
    metrics.for_release("quiz", "abc").count(200)
    with metrics.listener("127.0.0.1", 0) as port, urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        text = page.read().decode()
    assert 'gateway_requests_total{model="quiz",release="abc",status="200"} 1.0' in text


@pytest.mark.parametrize("stream", [False, True])
def test_retries_and_answers_that_never_pass_are_counted_apart_from_unreadable_ones(
    gateway: RunningGateway, client: OpenAI, upstream: Upstream, stream: bool
) -> None:
    reading = Reading(gateway, client, "checked")
    for name in (
        "gateway_check_retries_total",
        "gateway_check_failures_total",
        "gateway_parse_failures_total",
    ):
        reading.gains(0, name)
    upstream.script = Script(WRONG, then=Script(REPLY))
    list(client.chat.completions.create(model="checked", messages=ASK, stream=stream))
    reading.gains(1, "gateway_check_retries_total")
    reading.gains(0, "gateway_check_failures_total")
    upstream.script = Script(WRONG)
    with pytest.raises(APIStatusError):
        client.chat.completions.create(model="checked", messages=ASK, stream=stream)
    reading.gains(2, "gateway_check_retries_total")
    reading.gains(1, "gateway_check_failures_total")
    reading.gains(0, "gateway_parse_failures_total")


def test_an_unreadable_second_answer_is_a_parse_failure_after_one_retry(
    gateway: RunningGateway, client: OpenAI, upstream: Upstream
) -> None:
    reading = Reading(gateway, client, "checked")
    names = ("gateway_check_retries_total", "gateway_parse_failures_total", "gateway_check_failures_total")
    for name in names:
        reading.gains(0, name)
    upstream.script = Script(WRONG, then=Script("what?"))
    with pytest.raises(APIStatusError):
        client.chat.completions.create(model="checked", messages=ASK)
    for gain, name in zip((1, 1, 0), names, strict=True):
        reading.gains(gain, name)
