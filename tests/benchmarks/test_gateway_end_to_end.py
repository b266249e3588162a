"""Tests for benchmarks/gateway_end_to_end.py: the same prompt both ways, and what the pairs come to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.gateway_end_to_end import Caller, Pair, ask_all, summary, text, tokens_of
from benchmarks.surroundings import BenchmarkFailed
from programs.plan import Plan
from tests.gateway.serving import fingerprint_of, make_plan, put_release, running_gateway, settings_for
from tests.gateway.upstream import Script, Upstream, running_upstream


@pytest.fixture
def plan() -> Plan:
    return make_plan()


@pytest.fixture
def ways(plan: Plan, tmp_path: Path) -> Iterator[tuple[Caller, Caller, Upstream]]:
    """Through a real gateway, past it, and the upstream behind both."""
    with running_upstream() as upstream:
        put_release(tmp_path / "releases", plan, fingerprint_of(upstream.url))
        with (
            running_gateway(settings_for(tmp_path, upstream.url)) as gateway,
            closing(Caller(gateway.url)) as through,
            closing(Caller(upstream.url)) as direct,
        ):
            yield through, direct, upstream


def test_both_ways_ask_the_engine_with_the_same_prompt(
    ways: tuple[Caller, Caller, Upstream], plan: Plan
) -> None:
    gateway, engine, upstream = ways
    pairs = ask_all(gateway, engine, plan, questions=2)
    one, two = upstream.asked[:3], upstream.asked[3:]
    assert len(pairs) == 2
    assert one == [one[0]] * 3 and two == [two[0]] * 3 and one != two


def test_what_an_engine_refuses_ends_the_benchmark_with_its_words(
    ways: tuple[Caller, Caller, Upstream], plan: Plan
) -> None:
    gateway, engine, upstream = ways
    upstream.script = Script(status=400, error={"error": {"message": "too long"}})
    with pytest.raises(BenchmarkFailed, match="answered 400"):
        ask_all(gateway, engine, plan, questions=1)


def test_the_difference_is_taken_pair_by_pair() -> None:
    pairs = [Pair(11.0, 10.0, 100, 80), Pair(52.0, 50.0, 100, 60), Pair(13.0, 10.0, 100, 100)]
    found = summary(pairs)
    assert (found["added_p50_ms"], found["added_p99_ms"]) == (2.0, 3.0)
    assert found["cached_share"] == 0.8
    assert "median 2.00 ms, p99 3.00 ms" in text(found) and "80.0%" in text(found)


def test_an_engine_that_tells_nothing_of_its_cache_has_cached_nothing() -> None:
    assert tokens_of({"prompt_tokens": 5, "prompt_tokens_details": None}) == (5, 0)
    assert tokens_of({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}) == (5, 4)
