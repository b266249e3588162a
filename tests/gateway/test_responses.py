"""Tests for gateway/responses.py and response_events.py: what OpenAI's client reads of them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from openai import APIStatusError, BadRequestError, InternalServerError, NotFoundError, OpenAI
from pydantic import BaseModel

from tests.gateway.serving import RunningGateway, wait_until
from tests.gateway.upstream import COUNTED, REPLY, Script, Upstream

QUESTION = "What is six times seven?"
AFTER = "[[ ## answer ## ]]\nforty-two\n\n[[ ## reasoning ## ]]\nSix times seven.\n\n[[ ## completed ## ]]\n"


class Quiz(BaseModel):
    reasoning: str
    answer: str


def kinds(events: list[Any]) -> list[str]:
    return [event.type.removeprefix("response.") for event in events]


def test_a_response_holds_the_answer_the_reasoning_and_all_outputs(client: OpenAI) -> None:
    response: Any = client.responses.create(model="quiz", input=QUESTION)
    assert response.output_text == "forty-two" and response.status == "completed"
    reasoning, message = response.output
    assert reasoning.type == "reasoning" and reasoning.summary[0].text == "Six times seven."
    assert message.outputs == {"reasoning": "Six times seven.", "answer": "forty-two"}
    assert response.id.startswith("resp_") and response.model.startswith("quiz@")
    assert response.store is False and response.completed_at >= response.created_at


def test_usage_and_cost_are_those_of_the_engine(client: OpenAI) -> None:
    raw = client.responses.with_raw_response.create(model="quiz", input=QUESTION)
    response: Any = raw.parse()
    assert response.usage.input_tokens_details.cached_tokens == response.usage.input_tokens // 2
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert response.smallforge["release"] == raw.headers["x-smallforge-release"] == response.model
    assert response.smallforge["cost_usd"] == pytest.approx(
        float(raw.headers["x-smallforge-cost-usd"]), abs=1e-9
    )
    assert raw.headers["x-request-id"] == response.id


def test_counts_that_the_engine_does_not_give_are_no_usage(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(trouble="no_usage")
    assert client.responses.create(model="quiz", input=QUESTION).usage is None


def test_what_was_asked_comes_back(client: OpenAI) -> None:
    response = client.responses.create(
        model="quiz", input=QUESTION, metadata={"a": "b"}, temperature=0.5, max_output_tokens=99, store=False
    )
    assert (response.metadata, response.temperature, response.max_output_tokens) == ({"a": "b"}, 0.5, 99)


def test_instructions_and_earlier_turns_reach_the_program(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script("[[ ## answer ## ]]\nhere\n\n[[ ## completed ## ]]\n")
    earlier: Any = [
        {"role": "user", "content": "Who?"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "He."}]},
        {"role": "user", "content": [{"type": "input_text", "text": "Where?"}]},
    ]
    client.responses.create(model="reading", instructions="A long text.", input=earlier)
    sent = str(upstream.asked[-1]["messages"])
    assert all(said in sent for said in ("A long text.", "Who?", "He.", "Where?"))


def test_a_reply_and_what_follows_make_the_next_input(client: OpenAI, upstream: Upstream) -> None:
    first = client.responses.create(model="quiz", input=QUESTION)
    said: Any = [
        {"role": "user", "content": QUESTION},
        *first.output,
        {"role": "user", "content": "And eight?"},
    ]
    raw = client.responses.with_raw_response.create(model="quiz", input=said)
    assert raw.headers["x-smallforge-ignored"] == "messages.history"
    assert "And eight?" in str(upstream.asked[-1]["messages"])


def test_inputs_may_be_sent_by_name(client: OpenAI, upstream: Upstream) -> None:
    inputs = {"inputs": {"question": "By name?"}}
    client.responses.create(model="quiz", extra_body=inputs)
    assert "By name?" in str(upstream.asked[-1]["messages"])


def test_a_stream_is_told_in_typed_events(client: OpenAI) -> None:
    events: Any = list(client.responses.create(model="quiz", input=QUESTION, stream=True))
    seen = kinds(events)
    assert [kind for number, kind in enumerate(seen) if kind not in seen[:number]] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert {type(event).__name__ for event in events if event.type.endswith("output_text.delta")} == {
        "ResponseTextDeltaEvent"
    }


def test_the_deltas_make_the_texts_of_the_last_response(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(piece=1)
    events: Any = list(client.responses.create(model="quiz", input=QUESTION, stream=True))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    thoughts = [event.delta for event in events if event.type == "response.reasoning_summary_text.delta"]
    response = events[-1].response
    assert "".join(deltas) == response.output_text == "forty-two"
    assert "".join(thoughts) == response.output[0].summary[0].text
    assert [item.id for item in response.output] == [
        event.item.id for event in events if event.type == "response.output_item.added"
    ]
    assert response.usage.output_tokens > 0 and response.smallforge["cost_usd"] > 0


def test_a_streamed_response_is_the_one_that_would_have_come_whole(client: OpenAI) -> None:
    whole: Any = client.responses.create(model="quiz", input=QUESTION).to_dict()
    *_, last = client.responses.create(model="quiz", input=QUESTION, stream=True)
    streamed: Any = last.to_dict()["response"]
    assert whole.keys() == streamed.keys()
    differ = {"id", "created_at", "completed_at", "smallforge", "output"}
    assert {k: v for k, v in whole.items() if k not in differ} == {
        k: v for k, v in streamed.items() if k not in differ
    }
    assert [{**item, "id": ""} for item in whole["output"]] == [
        {**item, "id": ""} for item in streamed["output"]
    ]


def test_reasoning_after_the_answer_is_an_item_after_it(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(AFTER)
    events: Any = list(client.responses.create(model="quiz", input=QUESTION, stream=True))
    assert [item.type for item in events[-1].response.output] == ["message", "reasoning"]
    assert events[-1].response.output_text == "forty-two"


def test_values_that_are_no_texts_come_when_they_are_complete(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(COUNTED)
    events: Any = list(client.responses.create(model="counting", input="q", stream=True))
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == ["1234"]
    assert events[-1].response.output[-1].outputs["steps"] == ["a", "b"]


def test_parse_gives_the_clients_own_type(client: OpenAI) -> None:
    response = client.responses.parse(model="quiz", input=QUESTION, text_format=Quiz)
    assert response.output_parsed == Quiz(reasoning="Six times seven.", answer="forty-two")


def test_the_clients_stream_gives_snapshots_and_its_own_type(client: OpenAI) -> None:
    with client.responses.stream(model="quiz", input=QUESTION, text_format=Quiz) as events:
        seen = list(events)
        final = events.get_final_response()
    assert seen[-1].type == "response.completed"
    assert final.output_parsed == Quiz(reasoning="Six times seven.", answer="forty-two")


def test_a_schema_that_can_not_be_met_is_told_under_its_own_name(client: OpenAI) -> None:
    class Other(BaseModel):
        nothing_like_it: str

    with pytest.raises(BadRequestError) as caught:
        client.responses.parse(model="quiz", input=QUESTION, text_format=Other)
    assert (caught.value.code, caught.value.param) == ("schema_unmeetable", "text.format")
    assert "'text.format'" in str(caught.value) and "response_format" not in str(caught.value)


def test_an_answer_that_does_not_fit_the_schema_is_told_so_too(client: OpenAI, upstream: Upstream) -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string", "maxLength": 3}}}
    wanted: Any = {"format": {"type": "json_schema", "name": "short", "schema": schema}}
    with pytest.raises(InternalServerError, match=r"does not fit the schema of 'text\.format'"):
        client.responses.create(model="quiz", input=QUESTION, text=wanted)
    *_, failed = client.responses.create(model="quiz", input=QUESTION, text=wanted, stream=True)
    assert failed.type == "response.failed" and failed.response.error is not None
    assert "'text.format'" in failed.response.error.message


def test_a_reply_that_was_cut_is_incomplete(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(REPLY[:50], finish_reason="length")
    response = client.responses.create(model="quiz", input=QUESTION)
    assert response.status == "incomplete" and response.completed_at is None
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    *_, last = client.responses.create(model="quiz", input=QUESTION, stream=True)
    assert last.type == "response.incomplete" and last.response.status == "incomplete"


def test_an_early_failure_has_its_own_status(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(status=500)
    with pytest.raises(InternalServerError) as caught:
        client.responses.create(model="quiz", input=QUESTION, stream=True)
    assert caught.value.code == "engine_failed"


def test_a_later_failure_ends_the_stream_with_a_failed_response(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(trouble="error_midway", piece=1)
    events: Any = list(client.responses.create(model="quiz", input=QUESTION, stream=True))
    error, failed = events[-2:]
    assert (error.type, error.code, error.message) == ("error", "engine_failed", "The engine failed.")
    assert failed.type == "response.failed" and failed.response.error.code == "server_error"
    assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("previous_response_id", "resp_1", "nothing is stored here; send the earlier turns as `input`"),
        ("conversation", "conv_1", "nothing is stored here"),
        ("store", True, "nothing can be fetched again"),
        ("background", True, "at once or streamed"),
        ("tools", [{"type": "web_search"}], "calls no tools"),
        ("prompt", {"id": "p"}, "compiled into the release"),
    ],
)
def test_what_can_not_be_done_is_refused_with_the_reason(
    client: OpenAI, field: str, value: Any, told: str
) -> None:
    with pytest.raises(BadRequestError, match=told) as caught:
        client.responses.create(model="quiz", input=QUESTION, extra_body={field: value})
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", field)


def test_a_missing_input_is_told_as_for_chats(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.responses.create(model="reading", input="Where?")
    assert (caught.value.code, caught.value.param) == ("missing_input", "inputs.context")


def test_unknown_models_and_responses_are_not_found(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.responses.create(model="nope", input=QUESTION)
    assert caught.value.code == "model_not_found"
    with pytest.raises(NotFoundError):
        client.responses.retrieve("resp_1")


def test_an_answer_that_breaks_a_check_fails_and_is_counted(
    client: OpenAI, gateway: RunningGateway, upstream: Upstream
) -> None:
    release = httpx.get(f"{gateway.url}/v1/models/checked").json()["smallforge"]["version"]
    labels = {"model": "checked", "release": release}
    before = gateway.metric("gateway_check_failures_total", **labels)
    upstream.script = Script(REPLY.replace("forty-two", "none"))
    with pytest.raises(APIStatusError) as caught:
        client.responses.create(model="checked", input=QUESTION)
    assert caught.value.code == "program_output_invalid"
    wait_until(lambda: gateway.metric("gateway_check_failures_total", **labels) == before + 1)


def test_a_client_that_leaves_stops_the_engine(gateway: RunningGateway, upstream: Upstream) -> None:
    upstream.script = Script(trouble="stall_midway", piece=2)
    body = {"model": "quiz", "input": QUESTION, "stream": True}
    with httpx.stream("POST", f"{gateway.url}/v1/responses", json=body, timeout=20) as reply:
        pieces = reply.iter_bytes()  # which closes the connection when it is let go
        assert next(pieces)
        assert upstream.stalled.wait(10)
    assert upstream.abandoned.wait(5)
