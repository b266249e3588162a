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
from tests.security.targets import TARGETS

CASES = sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.glob("*/*"))
SOME = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXTS = st.sampled_from(
    [
        "",
        "q",
        "[[ ## answer ## ]]",
        "[[ ## completed ## ]]\n",
        "<<CUSTOM-TYPE-START-IDENTIFIER>>",
        "\x00",
        "é\u2028",
    ]
) | st.text(max_size=6)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant", "system", "developer", "tool", "x"]),
            "content": TEXTS
            | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS}), max_size=2),
        },
        optional={"tool_calls": VALUES, "tool_call_id": VALUES, "name": VALUES, "refusal": VALUES},
    )
    | VALUES,
    max_size=3,
)
BODIES = st.fixed_dictionaries(
    {"model": st.sampled_from(["quiz", "counting", "reading"]), "messages": MESSAGES | VALUES},
    optional={
        name: VALUES
        for name in (
            "inputs", "stream", "n", "stop", "max_tokens", "temperature", "seed", "tools", "tool_choice",
            "response_format", "stream_options", "metadata", "input", "text", "instructions", "cache_salt",
        )
    },
)  # fmt: skip


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
    whole = (
        CORPUS / data.draw(st.sampled_from([case for case in CASES if case.startswith(target)]))
    ).read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 20)))
    TARGETS[target]((whole[:start] + data.draw(st.binary(max_size=12)) + whole[end:]) or b"\0")


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


HEADERS = (
    "x-smallforge-trace", "x-smallforge-session", "x-smallforge-deadline-ms", "x-smallforge-max-usd",
    "traceparent", "cache-control", "authorization", "content-type", "range", "origin", "accept",
)  # fmt: skip


@SOME
@given(name=st.sampled_from(HEADERS), value=st.text(max_size=30).map(str.strip) | st.integers().map(str))
def test_no_header_is_a_fault_of_the_gateway(
    gateway: RunningGateway, http: httpx.Client, name: str, value: str
) -> None:
    sent = value.replace("\r", "").replace("\n", "").replace("\0", "").encode(errors="replace")
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
