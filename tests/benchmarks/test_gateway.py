"""Tests for benchmarks/gateway.py: what is made of measurements, not the measurements."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gateway import lua, make_ready, section
from benchmarks.gateway_rows import TITLES, Row, Turn, page_table, ratio, table, verdicts
from benchmarks.gateway_stand import (
    MISSED,
    PASSED,
    QUESTION,
    Server,
    Stand,
    Verdict,
    chat,
    exit_code,
    machine,
)
from benchmarks.rivals.servers import SERVERS, Bench, NotHere, run

TURN = Turn(2000.0, 0.9, 2.0, 0.4, 70.0, 60.0, failed=0, kept_up=True)


def row(name: str, *rates: float, **changes: Any) -> Row:
    return Row(name, [replace(TURN, requests_per_second=rate, **changes) for rate in rates])


def test_a_row_has_the_medians_of_its_rounds_and_all_their_failures() -> None:
    turns = [replace(TURN, p99_ms=p99, failed=1) for p99 in (9.0, 1.0, 3.0)]
    typical = Row("ours", [*turns[:2], replace(turns[2], kept_up=False)]).typical
    assert (typical.p99_ms, typical.failed, typical.kept_up) == (3.0, 3, False)


def test_ratios_are_taken_round_by_round() -> None:
    rows = {"ours": row("ours", 2000, 1000, 100), "stock": row("stock", 200, 100, 100)}
    assert ratio(rows, "stock") == 10.0
    assert ratio(rows, "portkey") is None


def test_a_missed_ratio_fails_the_run_and_a_missed_absolute_number_does_not() -> None:
    rows = {"ours": row("ours", 2000), "floor": row("floor", 9000, p50_ms=0.1), "stock": row("stock", 150)}
    judged = verdicts(rows)
    assert exit_code(judged) == PASSED
    assert [it.held for it in judged if it.what == "requests a second"] == [False]
    assert exit_code(verdicts(rows | {"stock": row("stock", 250)})) == MISSED


def test_a_rival_that_is_not_here_is_a_row_that_fails_nothing() -> None:
    rows, absent = {"ours": row("ours", 2000)}, {"portkey": "npm ended with 1: no such package"}
    assert "not here: npm ended with 1" in table(rows, absent)
    assert f"| {TITLES['portkey']} | not measured |" in page_table(rows, absent)
    assert exit_code(verdicts(rows)) == PASSED


def test_failed_requests_fail_the_run() -> None:
    assert exit_code(verdicts({"ours": row("ours", 2000, failed=1)})) == MISSED


def test_the_tables_say_how_many_times_faster_ours_is_and_who_can_not_keep_up() -> None:
    rows = {"ours": row("ours", 2000), "litellm": row("litellm", 50, kept_up=False)}
    ours, litellm = page_table(rows, {}).splitlines()[2:]
    assert ours.endswith("| 0.40 | 60 |  |")
    assert "overrun | overrun" in litellm and litellm.endswith("40x |")
    assert table(rows, {}).splitlines()[-1].endswith("40x")


def test_a_verdict_reads_as_a_sentence() -> None:
    assert Verdict("p99, ms", 2.5, 3, at_least=False).line() == "passed       p99, ms: 2.5 (at most 3)"
    assert Verdict("ratio", 3.0, 4).line() == "FAILED       ratio: 3 (at least 4)"
    assert (
        Verdict("rate", 12345.0, 20000, counts=False).line() == "missed       rate: 12,345 (at least 20,000)"
    )
    assert Verdict("ratio", None, 4).line().startswith("not measured ")


def test_wrk_and_the_constant_rate_ask_the_same() -> None:
    server = Server(["serve"], 1, chat("shop"), "/readyz", headers={"x-portkey-provider": "openai"})
    assert json.loads(server.request())["body"]["messages"][0]["content"] == QUESTION
    assert 'wrk.headers["x-portkey-provider"] = "openai"' in lua(server)
    assert json.dumps(chat("shop")) in lua(server)


def test_the_readme_names_the_machine_and_the_load() -> None:
    text = section({"ours": row("ours", 2000)}, {})
    assert machine()["cpu"] in text.replace("\n", " ") and "200 requests a second" in text.replace("\n", " ")


def test_all_servers_have_a_title_in_the_order_of_the_table() -> None:
    assert list(SERVERS) == list(TITLES)


def test_a_step_of_an_installation_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotHere, match="sh ended with 3: no such package"):
        run(["sh", "-c", "echo no such package >&2; exit 3"])


def test_what_can_not_be_installed_is_left_out_and_named(tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("no folder can be made in here")
    bench = Bench(Stand(tmp_path, 1, 0), blocked, "http://127.0.0.1:1")
    servers, absent = make_ready(bench, ["asgi", "litellm"])
    assert list(servers) == ["asgi"] and list(absent) == ["litellm"]
