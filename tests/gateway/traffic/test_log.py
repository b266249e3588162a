"""Tests for gateway/traffic/log.py: what a client asked, and what the log holds of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import InternalServerError

from tests.gateway.access.issuing import issued, where_keys_are
from tests.gateway.serving import fingerprint_of, make_plan, put_release, running_gateway, settings_for
from tests.gateway.traffic.conftest import ASK, Logged
from tests.gateway.upstream import COUNTED, Script, Upstream


def test_a_request_is_kept_with_all_it_was_and_took(logged: Logged) -> None:
    before = time.time()
    reply = logged.ask()
    row = logged.row(reply.id)
    assert before <= row.pop("at") <= time.time() and 0 < row.pop("seconds") < 20 and row.pop("usd") > 0
    assert row == {
        "response_id": reply.id,
        "request_id": reply.id,
        "key_id": None,
        "model": "quiz",
        "program": "quiz",
        "release": reply.model,
        "answer": "answer",
        "reasoning": ["reasoning"],
        "inputs": {"question": "What is six times seven?"},
        "outputs": [{"reasoning": "Six times seven.", "answer": "forty-two"}],
        "complete": True,
        "steps": None,
        "prompt_tokens": reply.usage and reply.usage.prompt_tokens,
        "completion_tokens": reply.usage and reply.usage.completion_tokens,
        "status": 200,
        "error": None,
    }


def test_streams_responses_and_several_answers_are_kept_alike(logged: Logged) -> None:
    outputs = {"reasoning": "Six times seven.", "answer": "forty-two"}
    with logged.client() as client:
        chunks = list(client.chat.completions.create(model="quiz", messages=ASK, stream=True))
        response = client.responses.create(model="quiz", input="What is six times seven?")
    assert logged.row(chunks[0].id)["outputs"] == [outputs]
    assert logged.row(response.id)["inputs"] == {"question": "What is six times seven?"}
    several = logged.ask(n=2)
    assert logged.row(several.id)["outputs"] == [outputs, outputs]


def test_the_steps_of_a_traced_request_are_kept_redacted(logged: Logged) -> None:
    asked: Any = [{"role": "user", "content": "Who is ann@b.org?"}]
    trace = {"x-smallforge-trace": "1"}
    reply = logged.ask(messages=asked, extra_headers=trace)
    (step,) = logged.row(reply.id)["steps"]
    assert "Who is [email]?" in step["messages"][-1]["content"] and "forty-two" in step["reply"]


def test_a_failed_request_is_kept_with_its_error_and_no_answer(logged: Logged, upstream: Upstream) -> None:
    upstream.script = Script(text="no fields at all")
    with pytest.raises(InternalServerError) as failed:
        logged.ask()
    row = logged.row(failed.value.response.headers["x-request-id"])
    assert (row["status"], row["error"], row["outputs"]) == (502, "program_output_invalid", [])
    assert row["inputs"] == {"question": "What is six times seven?"} and not row["complete"]


def test_an_answer_that_was_cut_is_not_complete(logged: Logged, upstream: Upstream) -> None:
    upstream.script = Script(text="[[ ## reasoning ## ]]\nSix", finish_reason="length")
    reply = logged.ask()
    assert not logged.row(reply.id)["complete"]


def test_what_the_client_or_the_gateway_keeps_to_itself_is_not_kept(logged: Logged) -> None:
    unwanted, raw = logged.ask(store=False).id, logged.ask("tiny").id
    with logged.client() as client:
        unwanted_too = client.responses.create(model="quiz", input="q", store=False).id
    logged.row(logged.ask().id)
    known = [row["response_id"] for row in logged.rows(lambda row: True)]
    assert not {unwanted, unwanted_too, raw} & {*known}


def test_nothing_secret_is_anywhere_in_the_database(logged: Logged, upstream: Upstream) -> None:
    upstream.script = Script(text=COUNTED.replace('"b"', '"sk-canary-b-0123456789abcdef"'))
    asked: Any = [
        {
            "role": "user",
            "content": "I am C-123456, my key is sk-canary-c-0123456789abcdef, card 4111111111111111",
        }
    ]
    headers = {
        "authorization": "Bearer canary-a-0123456789",
        "x-api-key": "canary-d-0123456789",
        "cookie": "session=canary-e-0123456789",
        "x-smallforge-trace": "1",
    }
    reply = logged.ask("counting", messages=asked, extra_headers=headers)
    comment = "reach me at canary-f@example.org"
    correction = {"steps": ["Bearer canary-g-0123456789"]}
    assert logged.say(response_id=reply.id, correction=correction, comment=comment).status_code == 200
    row = logged.row(reply.id)
    assert row["inputs"]["question"] == "I am [customer], my key is [secret], card [card]"
    assert row["outputs"][0]["steps"] == ["a", "[secret]"]
    data = b"".join(path.read_bytes() for path in logged.database.parent.glob("gateway.db*"))
    assert b"canary" not in data and b"C-123456" not in data and b"4111111111111111" not in data


def test_the_page_shows_the_path_of_feedback_where_there_is_one(logged: Logged) -> None:
    page = httpx.get(f"{logged.gateway.url}/openapi.json").json()
    told = page["paths"]["/v1/feedback"]["post"]
    schema = told["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == {"response_id", "score", "label", "correction", "comment"}
    assert told["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/Feedback")


def test_with_keys_only_those_that_agreed_are_kept(upstream: Upstream, tmp_path: Path) -> None:
    put_release(tmp_path / "releases", make_plan("quiz"), fingerprint_of(upstream.url))
    settings = settings_for(tmp_path, upstream.url, gateway=where_keys_are(tmp_path))
    agreed, other = issued(tmp_path, "agreed", "--traffic"), issued(tmp_path, "other")
    with running_gateway(settings) as gateway:
        logged = Logged(gateway, Path(settings.gateway.database))
        private, public = logged.ask(key=other).id, logged.ask(key=agreed).id
        (row,) = logged.rows(lambda row: True)
        assert (row["response_id"], row["key_id"]) == (public, agreed.split("-")[1])
        assert logged.say(agreed, response_id=public, score=1).status_code == 200
        for key, response_id in ((other, public), (agreed, private), (other, private)):
            assert logged.say(key, response_id=response_id, score=1).status_code == 404
        assert logged.say("nobody", response_id=public, score=1).status_code == 401
        data = b"".join(path.read_bytes() for path in tmp_path.glob("gateway.db*"))
        assert agreed.encode() not in data


def test_an_answer_that_was_given_again_is_kept_as_one_that_cost_nothing(
    upstream: Upstream, tmp_path: Path
) -> None:
    put_release(tmp_path / "releases", make_plan("quiz"), fingerprint_of(upstream.url))
    kept = f"""
        database = "{tmp_path / "gateway.db"}"
        [gateway.traffic]
        log = true
        [gateway.cache]
        store = "memory"
    """
    settings = settings_for(tmp_path, upstream.url, gateway=kept)
    with running_gateway(settings) as gateway:
        logged = Logged(gateway, tmp_path / "gateway.db")
        first, again = logged.ask(), logged.ask()
        rows = [logged.row(reply.id) for reply in (first, again)]
    assert len(upstream.asked) == 1 and first.id != again.id
    assert (
        rows[0]["outputs"] == rows[1]["outputs"] == [{"reasoning": "Six times seven.", "answer": "forty-two"}]
    )
    assert rows[0]["usd"] > rows[1]["usd"] == 0 and rows[1]["complete"]


def test_a_gateway_that_keeps_nothing_makes_no_database_and_knows_no_feedback(
    upstream: Upstream, tmp_path: Path
) -> None:
    put_release(tmp_path / "releases", make_plan("quiz"), fingerprint_of(upstream.url))
    settings = settings_for(tmp_path, upstream.url, gateway=f'database = "{tmp_path / "gateway.db"}"')
    with running_gateway(settings) as gateway:
        logged = Logged(gateway, tmp_path / "gateway.db")
        reply = logged.ask()
        assert logged.say(response_id=reply.id, score=1).status_code == 404
        assert "/v1/feedback" not in httpx.get(f"{gateway.url}/openapi.json").json()["paths"]
    assert not logged.database.exists()
