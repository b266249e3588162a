"""Tests for gateway/telemetry: what a collector gets to see of a request, by real OTLP."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from openai import APIStatusError, OpenAI

from tests.gateway.commanded import free_port
from tests.gateway.serving import fingerprint_of, make_plan, put_release, running_gateway, settings_for
from tests.gateway.telemetry.collector import Collector, collecting
from tests.gateway.test_request_log import ASK
from tests.gateway.upstream import Script, Upstream

PATH, PROGRAM, CALL = "POST /v1/chat/completions", "invoke_workflow quiz", "chat tiny"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PART_OF = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=value"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


class Traced:
    """A gateway that traces, asked once for each call; it has sent all its spans when the call is over."""

    def __init__(self, folder: Path, upstream: Upstream, collector: Collector) -> None:
        self._folder = folder
        self._upstream = upstream
        self._collector = collector
        put_release(folder / "releases", make_plan(), fingerprint_of(upstream.url))

    def ask(self, settings: str = "", headers: dict[str, str] | None = None, **asked: Any) -> Any:
        table = f'[gateway.telemetry]\nendpoint = "{self._collector.url}"\n{settings}'
        with (
            running_gateway(settings_for(self._folder, self._upstream.url, gateway=table)) as gateway,
            OpenAI(base_url=f"{gateway.url}/v1", api_key="CANARY-key", max_retries=0) as client,
        ):
            asking = {"model": "quiz", "messages": ASK, **asked}
            answer = client.chat.completions.with_raw_response.create(**asking, extra_headers=headers)
            return list(answer.parse()) if asked.get("stream") else answer


@pytest.fixture
def traced(tmp_path: Path, upstream: Upstream, collector: Collector) -> Traced:
    return Traced(tmp_path, upstream, collector)


def test_a_request_its_program_and_its_call_are_one_trace(traced: Traced, collector: Collector) -> None:
    answer = traced.ask()
    request, program, call = collector.waited_for(PATH, PROGRAM, CALL)
    assert [span.kind for span in (request, program, call)] == ["server", "internal", "client"]
    assert (request.parent, program.parent, call.parent) == ("", request.id, program.id)
    assert len({span.trace for span in (request, program, call)}) == 1
    assert collector.services == {"smallforge-gateway"}
    assert request.attributes["smallforge.request_id"] == answer.headers["x-request-id"]
    assert request.attributes["http.response.status_code"] == 200
    assert program.attributes["smallforge.release"] == answer.headers["x-smallforge-release"]


def test_a_call_says_what_the_conventions_ask_for(
    traced: Traced, collector: Collector, upstream: Upstream
) -> None:
    traced.ask(temperature=0.5, seed=7)
    (call,) = collector.waited_for(CALL)
    said = dict(call.attributes)
    usage = (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"])
    assert usage[0] > 0 and usage[1] == len(upstream.script.text.split())
    assert said["gen_ai.usage.cache_read.input_tokens"] == usage[0] // 2
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "tiny",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.seed": 7,
        "gen_ai.request.max_tokens": 200,
        "gen_ai.response.finish_reasons": ["stop"],
        "server.address": "127.0.0.1",
        "server.port": int(upstream.url.rsplit(":", 1)[1]),
    }
    assert {name: said[name] for name in expected} == expected


def test_a_stream_says_when_its_first_piece_came(traced: Traced, collector: Collector) -> None:
    traced.ask(stream=True)
    (call,) = collector.waited_for(CALL)
    assert call.attributes["gen_ai.request.stream"] is True
    assert 0 < call.attributes["gen_ai.response.time_to_first_chunk"] <= call.seconds


def test_the_clients_trace_goes_on_in_the_gateway_and_in_the_engine(
    traced: Traced, collector: Collector, upstream: Upstream
) -> None:
    traced.ask(headers=PART_OF)
    request, call = collector.waited_for(PATH, CALL)
    assert (request.trace, request.parent) == (TRACE, SPAN)
    upstream_headers = {name.lower(): value for name, value in upstream.headers[-1].items()}
    assert upstream_headers["traceparent"] == f"00-{TRACE}-{call.id}-01"
    assert upstream_headers["tracestate"] == "vendor=value"


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": "00-nothing-of-the-sort-01"},
        {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
        {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "=,;\tCANARY" + "x" * 600},
    ],
    ids=["no trace", "a trace of zeros", "no state"],
)
def test_a_header_that_makes_no_sense_harms_nobody(
    headers: dict[str, str],
    traced: Traced,
    collector: Collector,
    upstream: Upstream,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert traced.ask(headers=headers).headers["x-request-id"]
    (call,) = collector.waited_for(CALL)
    said = {name.lower(): value for name, value in upstream.headers[-1].items()}
    assert said["traceparent"] == f"00-{call.trace}-{call.id}-{said['traceparent'][-2:]}"
    assert "tracestate" not in said and "CANARY" not in caplog.text


def test_each_of_several_answers_is_a_call_of_the_same_program(traced: Traced, collector: Collector) -> None:
    traced.ask(n=3)
    collector.waited_for(PATH)
    calls = [span for span in collector.spans if span.name == CALL]
    assert sorted(span.attributes["smallforge.choice"] for span in calls) == [0, 1, 2]
    assert {span.parent for span in calls} == {span.id for span in collector.spans if span.name == PROGRAM}


def test_a_call_names_the_engine_that_answered_of_several(
    tmp_path: Path, upstream: Upstream, collector: Collector
) -> None:
    gone = free_port()
    urls = f'http://127.0.0.1:{gone}", "{upstream.url}'
    put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
    table = f'[gateway.telemetry]\nendpoint = "{collector.url}"'
    with (
        running_gateway(settings_for(tmp_path, urls, gateway=table)) as gateway,
        OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client,
    ):
        client.chat.completions.create(model="quiz", messages=ASK)
    (call,) = collector.waited_for(CALL)
    assert call.attributes["server.port"] == int(upstream.url.rsplit(":", 1)[1])


def test_a_failure_of_the_engine_is_one_of_every_span_above_it(
    traced: Traced, collector: Collector, upstream: Upstream
) -> None:
    upstream.script = Script(status=500)
    with pytest.raises(APIStatusError):
        traced.ask()
    request, program, call = collector.waited_for(PATH, PROGRAM, CALL)
    assert request.failed and program.failed and call.failed
    assert call.attributes["error.type"] == "server_error"
    assert request.attributes["error.type"] == program.attributes["error.type"] == "engine_failed"


def test_a_mistake_of_the_client_is_no_error_of_the_gateway(traced: Traced, collector: Collector) -> None:
    with pytest.raises(APIStatusError):
        traced.ask(model="nobody")
    (request,) = collector.waited_for(PATH)
    assert not request.failed
    assert request.attributes["error.type"] == "model_not_found"


def test_no_prompt_no_answer_and_no_key_is_ever_recorded(
    traced: Traced, collector: Collector, upstream: Upstream
) -> None:
    upstream.script = Script(upstream.script.text.replace("forty-two", "CANARY-answer"))
    traced.ask()
    collector.waited_for(PATH, PROGRAM, CALL)
    assert b"CANARY" not in collector.raw and b"Answer the question" not in collector.raw


def test_the_operator_may_want_prompts_and_answers(traced: Traced, collector: Collector) -> None:
    traced.ask("content = true")
    (call,) = collector.waited_for(CALL)
    asked = orjson.loads(call.attributes["gen_ai.input.messages"])
    said = orjson.loads(call.attributes["gen_ai.output.messages"])
    assert [message["role"] for message in asked] == ["system", "user"]
    assert "CANARY-in-the-question" in asked[1]["parts"][0]["content"]
    assert said[0]["finish_reason"] == "stop" and "forty-two" in said[0]["parts"][0]["content"]
    assert b"CANARY-key" not in collector.raw


def test_of_what_is_not_sampled_nothing_is_sent(
    traced: Traced, collector: Collector, upstream: Upstream
) -> None:
    traced.ask("sample = 0")
    assert collector.spans == []
    sampled = int(upstream.headers[-1]["traceparent"].rsplit("-", 1)[1], 16) & 1
    assert not sampled


def test_a_collector_that_is_down_costs_no_request(
    traced: Traced, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 400
    assert traced.ask().parse().choices[0].message.content == "forty-two"
    assert collector.spans == []
    assert "opentelemetry" in {record.name.split(".")[0] for record in caplog.records}


def run(script: str) -> str:
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_without_an_endpoint_nothing_that_traces_is_imported() -> None:
    script = (
        "import sys, gateway.app\n"
        "from gateway.telemetry.opening import open_traces\n"
        "from engine.settings_telemetry import TelemetrySettings\n"
        "assert open_traces(TelemetrySettings()) is None\n"
        "print([name for name in ('opentelemetry.sdk', 'opentelemetry.exporter') if name in sys.modules])"
    )
    assert run(script) == "[]"


def test_with_an_endpoint_but_without_the_libraries_the_command_to_install_them_is_named() -> None:
    script = (
        "import sys\n"
        "from gateway.telemetry.opening import StartFailed, open_traces\n"
        "from engine.settings_telemetry import TelemetrySettings\n"
        "sys.modules['opentelemetry.sdk'] = None\n"
        "try: open_traces(TelemetrySettings('http://127.0.0.1:4318'))\n"
        "except StartFailed as failed: print(failed)"
    )
    assert run(script) == "Traces need OpenTelemetry: pip install 'smallforge[telemetry]'"
