"""Tests for benchmarks/reliability.py and what stands behind it: what is asked for, judged and told."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from benchmarks.faulty_upstream import FAULTS, Engine, Request, completion, usage
from benchmarks.gateway_stand import MISSED, PASSED, exit_code
from benchmarks.reliability_kept import keep, kept_rows, table
from benchmarks.reliability_rows import EXPECTED, NOT_ACCEPTED, REFUSED, Disconnects, Faults, Kills, Told
from benchmarks.reliability_stand import Answer, request
from tests.gateway.serving import wait_until

LEFT = Disconnects({"unary": 500, "queued": 500}, 0, 0.0)
KILLED = Kills(20, 9000, 0, 12, 140, 0.8, {})
TOLD = [Told(it, it.status, it.code, it.seconds + 0.01) for it in EXPECTED]


def test_every_fault_that_is_expected_can_be_made_and_the_other_way_round() -> None:
    assert {it.fault for it in EXPECTED} - {REFUSED, NOT_ACCEPTED} == set(FAULTS)
    assert len(EXPECTED) >= 24


def test_all_is_well_where_nothing_is_lost() -> None:
    for row in (LEFT.row(), KILLED.row(), Faults(TOLD).row()):
        assert exit_code(row.verdicts) == PASSED


def test_anything_that_is_lost_late_or_told_wrong_fails() -> None:
    wrong, late = TOLD[0]._replace(code="internal_error"), TOLD[0]._replace(seconds=9.0)
    for found in (
        replace(LEFT, still_running=1),
        replace(LEFT, still_counted=1.0),
        replace(KILLED, failed=1),
        Faults([wrong, *TOLD[1:]]),
        Faults([late, *TOLD[1:]]),
    ):
        assert exit_code(found.row().verdicts) == MISSED


def test_the_table_tells_each_fault_and_what_was_lost() -> None:
    told = Faults([TOLD[0]._replace(code=None), *TOLD[1:]])
    shown = table([LEFT.row(), KILLED.row(), told.row()])
    assert "| 1,000 clients leave (500 queued, 500 unary) | 0 requests left running |" in shown
    assert "0 of 9,000 requests that had not begun to stream" in shown
    assert "| reset | 502 `None`, which is wrong | 0.01 s | at once |" in shown
    assert "| never ending, streamed | a last event `engine_timeout` | 2.51 s | 2.5 s |" in shown


def test_a_row_is_kept_with_its_own_date_and_machine(tmp_path: Path) -> None:
    assert kept_rows(tmp_path) == {}
    old = replace(LEFT.row(), date="2026-01-02T03:04:05+00:00", machine={"cpu": "a slow one"})
    new = replace(KILLED.row(), remark="others were at work")
    keep({"disconnects": old, "kills": new}, tmp_path)
    assert kept_rows(tmp_path) == {"disconnects": old, "kills": new}
    shown = table(kept_rows(tmp_path).values())
    assert "| 2026-01-02 |" in shown and ", others were at work |" in shown


def test_an_answer_is_read_for_its_error_and_for_whether_it_had_begun() -> None:
    error = b'data: {"error":{"message":"m","type":"t","param":null,"code":"engine_timeout"}}\n\n'
    begun = b'data: {"object":"chat.completion.chunk","code":"x"}\n\n'
    assert Answer(200, "", begun + error, 0.1).error == "engine_timeout"
    assert Answer(200, "", begun, 0.1).error is None and Answer(200, "", begun, 0.1).begun
    assert Answer(429, "HTTP/1.1 429 x\r\nRetry-After: 7", error, 0.1).header("retry-after") == "7"


def test_a_request_orders_what_the_engine_does() -> None:
    sent = Request(
        b"POST /v1/chat/completions HTTP/1.1", request("fault=reset echo=26", True).split(b"\r\n\r\n")[1]
    )
    assert (sent.order("fault"), sent.order("echo"), sent.order("tokens", "4")) == ("reset", "26", "4")
    assert "26" in json.loads(completion(sent))["choices"][0]["message"]["content"]
    assert usage(sent)["prompt_tokens"] == len("fault=reset echo=26") + 4


async def test_an_engine_stops_working_for_a_client_that_leaves() -> None:
    engine = Engine()
    async with await engine.listen(0) as server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("fault=silence", False))
        await asyncio.to_thread(wait_until, lambda: engine.running == 1)
        writer.close()
        await asyncio.to_thread(wait_until, lambda: engine.running == 0)
