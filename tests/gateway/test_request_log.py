"""Tests for gateway/request_log.py: what every request leaves in the log, and what it never leaves there."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from openai import APIStatusError, OpenAI

from gateway.logs import JsonLines, TextLines
from tests.gateway.commanded import serving
from tests.gateway.serving import RunningGateway, wait_until
from tests.gateway.upstream import Script, Upstream

ASK: Any = [{"role": "user", "content": "CANARY-in-the-question"}]


class Written(logging.Handler):
    """What the gateway's log would hold, each line as it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(TextLines().format(record))
        self.lines.append(orjson.loads(JsonLines().format(record)))

    def about(self, request_id: str) -> list[dict[str, Any]]:
        """The lines about one request; the client has its answer before the last of them is written."""
        wait_until(lambda: any(self._is_last(line, request_id) for line in self.lines))
        return [line for line in self.lines if line.get("request_id") == request_id]

    @staticmethod
    def _is_last(line: dict[str, Any], request_id: str) -> bool:
        return line.get("request_id") == request_id and line["message"].startswith("a request")


@pytest.fixture
def written() -> Iterator[Written]:
    handler, gateway_log = Written(), logging.getLogger("gateway")
    level = gateway_log.level
    gateway_log.addHandler(handler)
    gateway_log.setLevel(logging.INFO)
    yield handler
    gateway_log.removeHandler(handler)
    gateway_log.setLevel(level)


def refused(client: OpenAI, **asked: Any) -> APIStatusError:
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(**{"model": "quiz", "messages": ASK, **asked})
    return caught.value


def test_a_refused_request_is_found_by_its_id(client: OpenAI, written: Written) -> None:
    error = refused(client, model="nothing-of-that-name")
    (line,) = written.about(str(error.request_id))
    assert (line["level"], line["status"], line["code"]) == ("info", 404, "model_not_found")


def test_what_the_engine_did_wrong_stands_under_the_same_id(
    client: OpenAI, upstream: Upstream, written: Written
) -> None:
    upstream.script = Script(status=500)
    error = refused(client)
    cause, line = written.about(str(error.request_id))
    assert cause["message"].startswith("engine error server_error")
    assert (line["level"], line["error"], line["model"], line["calls"]) == (
        "warning",
        "UpstreamFailed",
        "quiz",
        1,
    )


def test_what_an_engine_says_of_a_request_it_refuses_is_for_debugging_only(
    client: OpenAI, upstream: Upstream, written: Written
) -> None:
    upstream.script = Script(status=400, error={"error": {"message": "no: CANARY-in-the-question"}})
    error = refused(client)
    cause, _ = written.about(str(error.request_id))
    assert cause["message"] == "engine error request_refused: it answered 400"
    assert "CANARY" not in str(written.texts)


def test_an_answer_that_could_not_be_read_is_found_by_its_id(
    client: OpenAI, upstream: Upstream, written: Written
) -> None:
    upstream.script = Script("CANARY without any field")
    error = refused(client)
    assert written.about(str(error.request_id))[-1]["code"] == "program_output_invalid"
    assert "CANARY" not in str(written.texts)


def test_a_path_that_does_not_exist_and_a_body_that_is_none_have_ids_too(
    gateway: RunningGateway, written: Written
) -> None:
    nowhere = httpx.get(f"{gateway.url}/v1/nowhere")
    empty = httpx.post(f"{gateway.url}/v1/chat/completions", content=b"{")
    assert [written.about(reply.headers["x-request-id"])[-1]["status"] for reply in (nowhere, empty)] == [
        404,
        400,
    ]


def test_requests_that_went_well_leave_nothing_unless_asked_for(
    gateway: RunningGateway, client: OpenAI, written: Written
) -> None:
    before = gateway.metric("gateway_in_flight_requests")
    client.chat.completions.create(model="quiz", messages=ASK)
    wait_until(lambda: gateway.metric("gateway_in_flight_requests") == before)
    assert written.lines == []


def test_the_command_writes_a_json_line_for_each_request_and_no_secret_in_any(
    upstream: Upstream, tmp_path: Path
) -> None:
    key = {"authorization": "Bearer CANARY-key", "x-api-key": "CANARY-key"}
    with serving(tmp_path, upstream, "--log-format", "json", "--access-log") as served:
        asked = {"model": "quiz", "messages": ASK}
        answered = httpx.post(f"{served.url}/v1/chat/completions", json=asked, headers=key)
        refused = httpx.post(f"{served.url}/v1/chat/completions", json={**asked, "n": 99}, headers=key)
        served.process.send_signal(signal.SIGINT)
        out, err = served.ended(10)
    lines = [orjson.loads(line) for line in err.splitlines()]
    found = {line["request_id"]: line for line in lines if "request_id" in line}
    line = found[answered.headers["x-request-id"]]
    assert (line["status"], line["model"], line["output_tokens"]) == (200, "quiz", 19)
    assert found[refused.headers["x-request-id"]]["status"] == 400
    assert any(line["message"].startswith("Smallforge gateway: http://") for line in lines)
    assert out == "" and "CANARY" not in err
