"""Tests for gateway/caps.py: more than one request may bring is refused in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from engine.settings_access import CapSettings
from gateway.caps import read_request
from gateway.errors import RequestInvalid
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
)
from tests.gateway.upstream import Upstream

MESSAGE = {"role": "user", "content": "q"}
CAPS = "[gateway.caps]\nbody_bytes = 5000\nmessages = 3\nn = 2\nstop = 2\nmax_tokens = 100\ndepth = 8"


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.fixture(scope="module")
def capped(_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with small caps, a release and an exposed model."""
    folder: Path = tmp_path_factory.mktemp("capped")
    put_release(folder / "releases", make_plan(), fingerprint_of(_upstream.url))
    settings = settings_for(folder, _upstream.url, top='expose = ["tiny"]', gateway=CAPS)
    with running_gateway(settings) as gateway:
        yield gateway


@pytest.mark.parametrize("model", ["quiz", "tiny"])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [MESSAGE] * 4}, "messages"),
        ({"n": 3}, "n"),
        ({"stop": ["a", "b", "c"]}, "stop"),
        ({"max_tokens": 101}, "max_tokens"),
        ({"max_completion_tokens": 101}, "max_completion_tokens"),
        ({"metadata": nested(9)}, None),
    ],
)
def test_a_body_over_a_cap_is_400_by_its_field(
    capped: RunningGateway, upstream: Upstream, model: str, fields: dict[str, Any], param: str | None
) -> None:
    body = {"model": model, "messages": [MESSAGE], **fields}
    reply = httpx.post(f"{capped.url}/v1/chat/completions", json=body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)
    assert "at most" in reply.text or "more than 8" in reply.text
    assert upstream.asked == []


@pytest.mark.parametrize("path", ["chat/completions", "responses", "completions", "embeddings"])
def test_a_larger_body_is_413(capped: RunningGateway, path: str) -> None:
    reply = httpx.post(f"{capped.url}/v1/{path}", content=b" " * 5001)
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")


def test_responses_have_the_same_caps(capped: RunningGateway) -> None:
    body = {"model": "quiz", "input": "q", "max_output_tokens": 101}
    assert httpx.post(f"{capped.url}/v1/responses", json=body).json()["error"]["param"] == "max_output_tokens"


def test_what_is_within_the_caps_is_answered(capped: RunningGateway) -> None:
    body = {"model": "quiz", "messages": [MESSAGE] * 3, "n": 2, "stop": ["zz", "yy"], "max_tokens": 100}
    assert httpx.post(f"{capped.url}/v1/chat/completions", json=body).status_code == 200


@pytest.mark.parametrize("levels", [7, 8, 9, 200])
def test_depth_is_that_of_the_deepest_place(levels: int) -> None:
    data = orjson.dumps({"a": [{}] * 50, "b": nested(levels)})
    if levels < 8:  # the body itself is one more
        assert read_request(data, CapSettings(depth=8))
    else:
        with pytest.raises(RequestInvalid, match="more than 8 within each other"):
            read_request(data, CapSettings(depth=8))


def test_brackets_in_a_text_are_no_depth() -> None:
    assert read_request(orjson.dumps({"a": "[[[[{{{{" * 50}), CapSettings(depth=8))
