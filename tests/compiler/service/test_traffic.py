"""What the console reads from a gateway's metrics."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from compiler.service.traffic import read_traffic, traffic_of

METRICS = """
# TYPE gateway_requests_total counter
gateway_requests_total{model="sums",release="aaa",status="200"} 8
gateway_requests_total{model="sums@candidate",release="aaa",status="502"} 2
gateway_requests_total{model="sums",release="bbb",status="200"} 1
# TYPE gateway_request_seconds histogram
gateway_request_seconds_bucket{model="sums",release="aaa",le="0.1"} 5
gateway_request_seconds_bucket{model="sums",release="aaa",le="0.5"} 10
gateway_request_seconds_bucket{model="sums",release="aaa",le="+Inf"} 10
gateway_request_seconds_count{model="sums",release="aaa"} 10
# TYPE gateway_overhead_seconds histogram
gateway_overhead_seconds_sum{model="sums",release="aaa"} 0.01
# TYPE gateway_cost_usd_total counter
gateway_cost_usd_total{model="sums",release="aaa"} 0.25
# TYPE gateway_teacher_cost_usd_total counter
gateway_teacher_cost_usd_total{model="sums",release="aaa"} 1.25
# TYPE gateway_engine_idle_cost_usd_total counter
gateway_engine_idle_cost_usd_total{engine="local"} 0.5
# TYPE gateway_in_flight_requests gauge
gateway_in_flight_requests 3
"""


def test_requests_of_all_names_of_a_release_are_added_up() -> None:
    traffic = traffic_of("", text_string_to_metric_families(METRICS))
    first, second = traffic.releases
    assert (first.release, first.requests, first.failed) == ("sums@aaa", 10, 2)
    assert (second.release, second.requests) == ("sums@bbb", 1)
    assert traffic.in_flight == 3


def test_what_belongs_to_no_release_goes_by_its_model() -> None:
    text = METRICS + 'gateway_requests_total{model="unknown",release="",status="401"} 4\n'
    traffic = traffic_of("", text_string_to_metric_families(text))
    assert [one.release for one in traffic.releases] == ["sums@aaa", "unknown", "sums@bbb"]


def test_latencies_are_reckoned_as_prometheus_does() -> None:
    first = traffic_of("", text_string_to_metric_families(METRICS)).releases[0]
    assert first.seconds(0.5) == 0.1
    assert first.seconds(0.75) == pytest.approx(0.3)
    assert first.overhead_seconds == 0.001


def test_money_is_spent_on_answers_and_idle_time_and_saved_against_the_teacher() -> None:
    traffic = traffic_of("", text_string_to_metric_families(METRICS))
    assert (traffic.usd, traffic.saved_usd) == (0.75, 1.0)


async def test_a_gateway_that_is_not_there_is_no_error() -> None:
    traffic = await read_traffic("http://127.0.0.1:9/metrics")
    assert traffic.releases == () and "No gateway answers" in str(traffic.problem)
