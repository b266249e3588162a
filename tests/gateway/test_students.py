"""Tests for gateway/students.py: a release runs only on the student it was built for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIStatusError, OpenAI

from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
    wait_until,
)
from tests.gateway.upstream import Upstream, running_upstream

ASK: Any = [{"role": "user", "content": "q"}]


def _status(gateway: RunningGateway) -> int:
    body = {"model": "quiz", "messages": ASK}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body).status_code


def _other(student: dict[str, Any]) -> dict[str, Any]:
    """The fingerprint of a student with another chat template."""
    return {**student, "prompt_tokens": [count + 3 for count in student["prompt_tokens"]]}


def test_a_release_for_another_template_is_refused_with_both_values(
    upstream: Upstream, tmp_path: Path
) -> None:
    student = fingerprint_of(upstream.url)
    put_release(tmp_path / "releases", make_plan(), _other(student))
    with running_gateway(settings_for(tmp_path, upstream.url)) as gateway:
        with (
            OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client,
            pytest.raises(APIStatusError) as caught,
        ):
            client.chat.completions.create(model="quiz", messages=ASK)
        assert (caught.value.status_code, caught.value.code) == (503, "model_unavailable")
        for value in (student["prompt_tokens"][0], student["prompt_tokens"][0] + 3):
            assert str(value) in caught.value.message
        assert httpx.get(f"{gateway.url}/readyz").status_code == 503
        card = httpx.get(f"{gateway.url}/v1/models/quiz").json()
        assert card["smallforge"]["available"] is False


def test_with_check_warn_it_is_served_and_counted(upstream: Upstream, tmp_path: Path) -> None:
    version = put_release(tmp_path / "releases", make_plan(), _other(fingerprint_of(upstream.url)))
    settings = settings_for(tmp_path, upstream.url, top='student_check = "warn"')
    with running_gateway(settings) as gateway:
        assert _status(gateway) == 200
        labels = {"model": "quiz", "release": version, "kind": "template"}
        assert gateway.metric("gateway_student_mismatches_total", **labels) >= 1


def test_a_student_that_becomes_another_is_noticed_and_forgiven(tmp_path: Path) -> None:
    with running_upstream() as upstream:
        put_release(tmp_path / "releases", make_plan(), fingerprint_of(upstream.url))
        with running_gateway(settings_for(tmp_path, upstream.url), recheck=0.1) as gateway:
            assert _status(gateway) == 200
            upstream.template_tokens = 9
            wait_until(lambda: _status(gateway) == 503)
            upstream.template_tokens = 4
            wait_until(lambda: _status(gateway) == 200)


def test_a_student_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    with running_upstream() as upstream:
        student, port = fingerprint_of(upstream.url), int(upstream.url.rsplit(":", 1)[1])
    put_release(tmp_path / "releases", make_plan(), student)
    with running_gateway(settings_for(tmp_path, f"http://127.0.0.1:{port}")) as gateway:
        assert httpx.get(f"{gateway.url}/healthz").status_code == 200
        ready = httpx.get(f"{gateway.url}/readyz")
        assert ready.status_code == 503 and "default" in ready.json()["students"]
        with running_upstream(port):
            wait_until(lambda: httpx.get(f"{gateway.url}/readyz").status_code == 200)
            assert _status(gateway) == 200


def test_a_broken_connection_leads_to_a_check(tmp_path: Path) -> None:
    with running_upstream() as first:
        put_release(tmp_path / "releases", make_plan(), fingerprint_of(first.url))
        port = int(first.url.rsplit(":", 1)[1])
        gateway_context = running_gateway(settings_for(tmp_path, first.url))
        gateway = gateway_context.__enter__()
        assert _status(gateway) == 200
    try:
        assert _status(gateway) == 502
        wait_until(lambda: "default" in httpx.get(f"{gateway.url}/readyz").json()["students"])
        with running_upstream(port) as second:
            second.template_tokens = 9
            wait_until(lambda: _status(gateway) == 503)
    finally:
        gateway_context.__exit__(None, None, None)


def test_several_releases_share_one_student(upstream: Upstream, gateway: RunningGateway) -> None:
    upstream.requests.clear()
    for model in ("quiz", "counting"):
        httpx.post(f"{gateway.url}/v1/chat/completions", json={"model": model, "messages": ASK})
    assert len(upstream.requests) == len(upstream.asked) == 2
