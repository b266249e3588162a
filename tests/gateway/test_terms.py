"""Tests for gateway/terms.py: a client's own deadline and ceiling, by OpenAI's client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIError, APIStatusError, OpenAI

from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
)
from tests.gateway.upstream import Script, Upstream

QUESTION: Any = [{"role": "user", "content": "q"}]
NEXT_TO_NOTHING = "0.000000000001"
WITHOUT_THE_WORD = "[[ ## reasoning ## ]]\nr\n\n[[ ## answer ## ]]\n42\n\n[[ ## completed ## ]]\n"


def refusal(client: OpenAI, model: str = "quiz", **headers: str) -> APIStatusError:
    named = {f"x-smallforge-{name.replace('_', '-')}": value for name, value in headers.items()}
    with pytest.raises(APIStatusError) as found:
        client.chat.completions.create(model=model, messages=QUESTION, extra_headers=named)
    return found.value


def test_a_request_within_its_terms_is_answered(client: OpenAI) -> None:
    terms = {"x-smallforge-deadline-ms": "60000", "x-smallforge-max-usd": "1.5"}
    reply = client.chat.completions.create(model="quiz", messages=QUESTION, extra_headers=terms)
    assert reply.choices[0].message.content == "forty-two"


def test_a_deadline_that_passes_is_504_and_stops_the_engine(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(trouble="stall")
    error = refusal(client, deadline_ms="300")
    assert (error.status_code, error.code) == (504, "deadline_passed")
    assert error.response.headers["x-should-retry"] == "false"
    assert upstream.abandoned.wait(5)


def test_a_deadline_that_passes_midway_ends_the_stream_with_an_error(
    client: OpenAI, upstream: Upstream
) -> None:
    upstream.script = Script(trouble="stall_midway", piece=2)
    terms = {"x-smallforge-deadline-ms": "800"}
    stream = client.chat.completions.create(model="quiz", messages=QUESTION, stream=True, extra_headers=terms)
    seen = [next(iter(stream))]
    with pytest.raises(APIError, match="deadline") as found:
        seen += list(stream)
    assert seen and found.value.code == "deadline_passed"
    assert upstream.abandoned.wait(5)


def test_no_step_is_begun_past_the_ceiling(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(text=WITHOUT_THE_WORD)
    error = refusal(client, "checked", max_usd=NEXT_TO_NOTHING)
    assert (error.status_code, error.code) == (402, "cost_ceiling_reached")
    assert float(error.response.headers["x-smallforge-cost-usd"]) > 0
    assert len(upstream.asked) == 1, "the answer that broke a check would be asked for again"


def test_a_ceiling_of_nothing_asks_no_engine(client: OpenAI, upstream: Upstream) -> None:
    assert refusal(client, max_usd="0").status_code == 402
    assert upstream.asked == []


def test_what_was_begun_under_the_ceiling_is_answered(client: OpenAI) -> None:
    terms = {"x-smallforge-max-usd": NEXT_TO_NOTHING}
    reply = client.chat.completions.create(model="quiz", messages=QUESTION, extra_headers=terms)
    assert reply.choices[0].message.content == "forty-two"


@pytest.mark.parametrize("value", ["", "0", "-5", "1e3", "2.5", "soon", "1" * 10])
def test_a_deadline_that_cannot_be_read_is_400(client: OpenAI, value: str) -> None:
    error = refusal(client, deadline_ms=value)
    assert (error.status_code, error.param) == (400, "x-smallforge-deadline-ms")


@pytest.mark.parametrize("value", ["", "-1", "nan", "inf", "1,5", "0x1", "9" * 7])
def test_a_ceiling_that_cannot_be_read_is_400(client: OpenAI, value: str) -> None:
    error = refusal(client, max_usd=value)
    assert (error.status_code, error.param) == (400, "x-smallforge-max-usd")


@pytest.fixture(scope="module")
def unpriced(_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder: Path = tmp_path_factory.mktemp("unpriced")
    put_release(folder / "releases", make_plan(), fingerprint_of(_upstream.url))
    with running_gateway(settings_for(folder, _upstream.url, price="", top='expose = ["tiny"]')) as gateway:
        yield gateway


@pytest.mark.parametrize("model", ["quiz", "tiny"])
def test_a_ceiling_where_no_price_is_known_is_400(
    unpriced: RunningGateway, upstream: Upstream, model: str
) -> None:
    reply = httpx.post(
        f"{unpriced.url}/v1/chat/completions",
        json={"model": model, "messages": QUESTION},
        headers={"x-smallforge-max-usd": "1"},
    )
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "price_unknown")
    assert upstream.asked == []


def test_a_raw_request_has_a_deadline_too(unpriced: RunningGateway, upstream: Upstream) -> None:
    upstream.script = Script(trouble="stall")
    reply = httpx.post(
        f"{unpriced.url}/v1/chat/completions",
        json={"model": "tiny", "messages": QUESTION},
        headers={"x-smallforge-deadline-ms": "300"},
    )
    assert (reply.status_code, reply.json()["error"]["code"]) == (504, "deadline_passed")
    assert upstream.abandoned.wait(5)
