"""Tests for gateway/logs.py: one line for each thing said, for people or for machines."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from gateway.logs import REQUEST, JsonLines, TextLines, facts


@pytest.fixture
def request_id() -> Iterator[str]:
    token = REQUEST.set("req_7")
    yield "req_7"
    REQUEST.reset(token)


def record(message: str, **extra: Any) -> logging.LogRecord:
    made = logging.getLogger("gateway.x").makeRecord(
        "gateway.x", logging.WARNING, "x.py", 1, message, (), extra.pop("exc_info", None), extra=extra
    )
    made.created, made.msecs = 0.25, 250.0
    return made


def failed() -> Any:
    try:
        raise ValueError("broken")
    except ValueError:
        return sys.exc_info()


def test_a_line_for_a_machine_is_one_object(request_id: str) -> None:
    line = JsonLines().format(record('said "it"\ntwice', **facts(status=200, model=None)))
    assert "\n" not in line
    assert orjson.loads(line) == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "warning",
        "logger": "gateway.x",
        "request_id": request_id,
        "message": 'said "it"\ntwice',
        "status": 200,
    }


def test_outside_a_request_no_request_is_named() -> None:
    assert "request_id" not in orjson.loads(JsonLines().format(record("up")))
    assert TextLines().format(record("up")).endswith("WARNING gateway.x: up")


def test_facts_never_hide_what_every_line_has() -> None:
    assert orjson.loads(JsonLines().format(record("said", **facts(message="forged"))))["message"] == "said"


def test_a_line_for_a_person_names_the_request_and_the_facts(request_id: str) -> None:
    line = TextLines().format(record("answered", **facts(status=200, seconds=0.5)))
    assert line.endswith("WARNING gateway.x [req_7]: answered status=200 seconds=0.5")


def test_no_message_writes_a_line_of_its_own() -> None:
    forged = record("no such model: x\n2026-01-01 00:00:00,000 INFO root: all is well")
    assert len(TextLines().format(forged).splitlines()) == 1


def test_a_traceback_stands_below_the_line_or_in_the_object() -> None:
    broken = record("failed", exc_info=failed())
    assert TextLines().format(broken).splitlines()[-1] == "ValueError: broken"
    assert orjson.loads(JsonLines().format(broken))["traceback"].endswith("ValueError: broken")
