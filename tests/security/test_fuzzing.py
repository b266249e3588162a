"""Everything that reads what strangers write, given what fuzzers make: understood or refused, never a fault.

`python -m tests.security.fuzz` looks on for as long as one likes.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.client import EngineClient
from engine.errors import EngineError
from tests.engine.raw_server import HEAD, answering, sending
from tests.gateway.serving import RunningGateway
from tests.security.fuzz import CORPUS
from tests.security.inputs import BODIES, HEADER_VALUES, HEADERS, VALUES, cases_of, damaged
from tests.security.targets import TARGETS

CASES = sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.glob("*/*"))
SOME = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


@pytest.mark.parametrize("case", CASES)
def test_what_once_was_of_interest_is_understood_or_refused(case: str) -> None:
    TARGETS[case.split("/")[0]]((CORPUS / case).read_bytes())


@pytest.mark.parametrize("target", sorted(TARGETS))
@SOME
@given(data=st.data())
def test_damaged_cases_are_understood_or_refused(target: str, data: st.DataObject) -> None:
    TARGETS[target](data.draw(damaged(cases_of(target))) or b"\0")


@pytest.mark.parametrize("target", ["chat", "responses"])
@SOME
@given(first=st.binary(min_size=1, max_size=1), body=BODIES | VALUES)
def test_any_json_is_understood_or_refused(target: str, first: bytes, body: Any) -> None:
    if target == "responses" and isinstance(body, dict):
        body = {"input" if name == "messages" else name: value for name, value in body.items()}
    TARGETS[target](first + json.dumps(body).encode())


@pytest.mark.parametrize("path", ["chat/completions", "responses", "completions"])
@settings(SOME, max_examples=40)
@given(body=BODIES)
def test_no_body_is_a_fault_of_the_gateway(
    gateway: RunningGateway, http: httpx.Client, path: str, body: dict[str, Any]
) -> None:
    reply = http.post(f"{gateway.url}/v1/{path}", content=json.dumps(body).encode())
    assert reply.status_code in (200, 400, 404), reply.text
    assert reply.status_code == 200 or reply.json()["error"]["type"] == "invalid_request_error"


@SOME
@given(name=st.sampled_from(HEADERS), sent=HEADER_VALUES)
def test_no_header_is_a_fault_of_the_gateway(
    gateway: RunningGateway, http: httpx.Client, name: str, sent: bytes
) -> None:
    body = b'{"model": "quiz", "messages": [{"role": "user", "content": "q"}]}'
    try:
        reply = http.post(f"{gateway.url}/v1/chat/completions", content=body, headers=[(name.encode(), sent)])
    except httpx.LocalProtocolError:
        return  # not even sent
    # A deadline may be as short as one likes, a ceiling as low.
    assert reply.status_code in (200, 400, 402, 504), reply.text


@settings(SOME, max_examples=60)
@given(head=st.binary(max_size=40), cut=st.integers(0, 400), streams=st.booleans())
def test_nothing_that_an_engine_sends_is_a_fault_of_ours(head: bytes, cut: int, streams: bool) -> None:
    event = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    sent = (
        (HEAD.replace(b"application/json", b"text/event-stream") + b"\r\n" + event)
        if streams
        else HEAD + b"\r\n{}"
    )

    async def ask() -> None:
        reply = sending(sent[:cut] + head + sent[cut:], then_close=True)
        async with answering(reply) as server, EngineClient(server.url, "tiny") as client:
            async for _ in client.stream([], {}):
                pass

    try:
        asyncio.run(ask())
    except EngineError:
        pass


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no build for this machine")
def test_a_moment_of_fuzzing_by_coverage_finds_nothing(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.security.fuzz",
        "all",
        "-max_total_time=2",
        "-max_len=1000",
        "-seed=7",
    ]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert "DONE" in done.stderr and list(tmp_path.iterdir()) == []
