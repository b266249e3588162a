"""Tests for benchmarks/gateway.py: what is made of measurements, not the measurements."""

from __future__ import annotations

from benchmarks.gateway import Load, Row, machine, median, ratio_of, request_body, table
from benchmarks.rivals.servers import SERVERS


def _row(name: str, rate: float) -> Row:
    return Row(name, Load(rate / 2, 0.5, 2.0, 0), Load(rate, 10.0, 40.0, 0))


def test_the_middle_measurement_counts() -> None:
    loads = [Load(rate, 1.0, 2.0, 0) for rate in (30.0, 900.0, 10.0)]
    assert median(loads).requests_per_second == 30.0


def test_the_table_says_how_many_times_faster_ours_is() -> None:
    ours, stock = _row("ours", 2000.0), _row("stock", 250.0)
    assert ratio_of(ours, stock) == 8.0
    shown = table([ours, stock]).splitlines()
    assert shown[-1].endswith("ours is 8.0x") and "ours is" not in shown[-2]


def test_a_result_says_where_it_is_from() -> None:
    assert {"cpu", "cores", "python", "load_before", "packages"} <= machine().keys()
    assert list(SERVERS) == ["ours", "bare", "stock", "litellm"]
    assert "'" not in request_body("shop")  # it stands in a quoted text of wrk's script
