"""Tests for benchmarks/gateway_memory.py: when memory counts as flat, and what is judged."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.gateway_memory import Held, Sample, verdicts
from benchmarks.gateway_stand import MISSED, PASSED, exit_code

FLAT = [Sample(n * 1000, 60.0 if n else 50.0, 40.0) for n in range(11)]
HELD = Held(50, [0.9, 1.4], FLAT, failed=0)


def test_what_the_first_requests_add_is_no_growth() -> None:
    assert HELD.growth_mib == 0.0
    assert exit_code(verdicts(HELD)) == PASSED


def test_each_bound_can_be_missed() -> None:
    leaking = [*FLAT[:-1], replace(FLAT[-1], rss_mib=64.0)]
    large = [replace(sample, rss_mib=151.0) for sample in FLAT]
    for missed in (
        replace(HELD, samples=leaking),
        replace(HELD, samples=large),
        replace(HELD, failed=1),
        replace(HELD, starts=[1.1, 1.4]),
    ):
        assert [it.held for it in verdicts(missed)].count(False) == 1
        assert exit_code(verdicts(missed)) == MISSED
