"""Tests for the reliability rows that take long: what is judged, when memory is flat, what bad inputs are."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from benchmarks.gateway_stand import MISSED, PASSED, exit_code
from benchmarks.reliability_changes import Changes
from benchmarks.reliability_fuzzing import BadInputs, drawn, sources
from benchmarks.reliability_hour import Hour, Sample

FLAT = [Sample(10.0 * n, 60.0 if n else 50.0, 45.0, 90) for n in range(361)]
HOUR = Hour(
    minutes=60.0,
    capacity=1000.0,
    core_at_capacity=0.98,
    rate=700.0,
    core_at_rate=0.7,
    answered=699.9,
    latest=0.2,
    requests={"chat": 2_000_000, "refused, 404": 500_000},
    errors={},
    error_samples=[],
    p50_ms={"chat": 34.0},
    p99_ms={"chat": 60.0},
    left_running=0.0,
    logged_errors=0,
    samples=FLAT,
    load_averages=(0.5, 1.9),
)
CHANGED = Changes({"promotions": 5}, {"chat": 100_000}, {}, [], 200.0, 0.9, 40)
FUZZED = BadInputs({"headers": 1000}, {"chat": 9000}, {"headers": {"200": 400, "400": 600}})


def test_what_the_first_tenth_adds_is_no_growth() -> None:
    assert (HOUR.growth_mib, round(HOUR.slope_mib, 6)) == (0.0, 0.0)
    assert "0 errors in 2,500,000 requests, 0 in the log; +0.0 MiB" in HOUR.row().lost


def test_a_leak_is_told_by_its_slope() -> None:
    leaking = replace(HOUR, samples=[replace(one, rss_mib=60 + one.seconds / 600) for one in FLAT])
    assert leaking.slope_mib == pytest.approx(6.0) and leaking.growth_mib == pytest.approx(4.8, abs=0.1)
    assert exit_code(leaking.row().verdicts) == MISSED


def test_all_is_well_where_nothing_failed() -> None:
    for row in (HOUR.row(), CHANGED.row(), FUZZED.row()):
        assert exit_code(row.verdicts) == PASSED
        assert json.loads(json.dumps(asdict(row)))["numbers"]


def test_whatever_failed_is_a_bound_that_was_missed() -> None:
    for found in (
        replace(HOUR, errors={"chat: status 502": 1}),
        replace(HOUR, logged_errors=1),
        replace(HOUR, left_running=1.0),
        replace(CHANGED, failed={"chat: broken off": 1}),
        replace(FUZZED, crashes=["the gateway ended with -11"]),
        replace(FUZZED, answers={"headers": {"500": 1}}),
        replace(FUZZED, wrong=["headers: 503 for b''"]),
    ):
        assert exit_code(found.row().verdicts) == MISSED


def test_a_load_that_others_slowed_down_is_told_but_fails_nothing() -> None:
    slow = replace(HOUR, answered=500.0).row()
    assert exit_code(slow.verdicts) == PASSED
    assert "missed" in "".join(verdict.line() for verdict in slow.verdicts)


def test_bad_inputs_are_made_alike_each_time() -> None:
    inputs = next(it.inputs for it in sources() if it.name == "headers")
    made = drawn(inputs, 5, turn=3)
    assert len(made) == 5 and made == drawn(inputs, 5, turn=3)
    assert made != drawn(inputs, 5, turn=4)


def test_the_sources_share_a_hundred() -> None:
    assert sum(source.often for source in sources()) == 100
