"""Tests for gateway/traffic/route.py: feedback on a response, as a client gives it."""

from __future__ import annotations

from typing import Any

import httpx

from tests.gateway.traffic.conftest import ASK, Logged
from tests.gateway.traffic.entries import said
from tests.gateway.upstream import COUNTED, Script, Upstream


def answered(logged: Logged, model: str = "quiz") -> str:
    return str(logged.ask(model).id)


def given(logged: Logged, response_id: str) -> dict[str, tuple[Any, str | None]]:
    """Values and comments of what was said, by kind."""
    found = [one for one in said(logged.database) if one["response_id"] == response_id]
    return {one["kind"]: (one["value"], one["comment"]) for one in found}


def test_feedback_of_each_kind_is_tied_to_the_response_at_once(logged: Logged) -> None:
    id = answered(logged)
    reply = logged.say(response_id=id, score=0.5, comment="so la la")
    told = {"object": "feedback", "response_id": id, "kind": "score", "replaced": False}
    assert (reply.status_code, reply.json()) == (200, told)
    assert logged.say(response_id=id, label="approved").status_code == 200
    assert logged.say(response_id=id, correction="42").status_code == 200
    assert given(logged, id) == {
        "score": (0.5, "so la la"),
        "label": ("approved", None),
        "correction": ({"answer": "42"}, None),
    }


def test_ones_own_feedback_is_replaced_and_counted_once(logged: Logged) -> None:
    id = answered(logged)
    release = logged.row(id)["release"].partition("@")[2]
    labels = {"model": "quiz", "release": release}

    def counted() -> tuple[float, float]:
        metric = logged.gateway.metric
        return (
            metric("gateway_feedback_total", kind="score", **labels),
            metric("gateway_feedback_score_total", **labels),
        )

    before = counted()
    for score, replaced in ((0.25, False), (0.25, True), (1, True)):
        assert logged.say(response_id=id, score=score).json()["replaced"] is replaced
    assert given(logged, id) == {"score": (1, None)}
    assert counted() == (before[0] + 1, before[1] + 0.25)


def test_a_correction_has_the_types_of_what_was_answered(logged: Logged, upstream: Upstream) -> None:
    upstream.script = Script(text=COUNTED)
    id = answered(logged, "counting")
    for correction in ("many", {"answer": "42"}, {"steps": "one"}, {"weight": 1}):
        refused = logged.say(response_id=id, correction=correction)
        assert refused.status_code == 400 and refused.json()["error"]["param"].startswith("correction")
    assert logged.say(response_id=id, correction="42").status_code == 200
    assert given(logged, id)["correction"][0] == {"answer": 42}
    assert logged.say(response_id=id, correction={"steps": ["one"]}).status_code == 200
    assert given(logged, id)["correction"][0] == {"steps": ["one"]}


def test_a_response_that_nobody_was_given_is_404(logged: Logged) -> None:
    refused = logged.say(response_id="chatcmpl-000000000000000000000000", score=1)
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "response_not_found"
    assert refused.json()["error"]["param"] == "response_id"


def test_what_is_no_feedback_is_400_and_too_much_is_413(logged: Logged) -> None:
    id = answered(logged)
    assert logged.say(response_id=id, score="good").json()["error"]["param"] == "score"
    assert logged.say(response_id=id).status_code == 400
    large = httpx.post(f"{logged.gateway.url}/v1/feedback", content=b" " * (4 * 1024 * 1024 + 1))
    assert large.status_code == 413


def test_openais_own_client_gives_feedback_too(logged: Logged) -> None:
    body = {"response_id": answered(logged), "label": "sk-canary-0123456789abcdef"}
    with logged.client() as client:
        told: Any = client.post("/feedback", body=body, cast_to=object)
    assert told["kind"] == "label"
    assert given(logged, body["response_id"])["label"] == ("[secret]", None)


def test_a_failed_request_can_be_corrected_by_its_id(logged: Logged, upstream: Upstream) -> None:
    upstream.script = Script(text="no fields at all")
    failed = httpx.post(f"{logged.gateway.url}/v1/chat/completions", json={"model": "quiz", "messages": ASK})
    assert failed.status_code == 502
    id = failed.headers["x-request-id"]
    assert logged.say(response_id=id, correction="42").status_code == 200
