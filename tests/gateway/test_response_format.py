"""Tests for gateway/response_format.py: replies as JSON, asked for with OpenAI's own client."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from openai import APIError, APIStatusError, AsyncOpenAI, BadRequestError, LengthFinishReasonError, OpenAI
from pydantic import BaseModel, Field

from tests.gateway.serving import RunningGateway
from tests.gateway.upstream import COUNTED, REPLY, Script, Upstream

ASK: Any = [{"role": "user", "content": "What is six times seven?"}]
JSON: Any = {"type": "json_object"}


class Counted(BaseModel):
    """All that the program `counting` gives."""

    reasoning: str
    steps: list[str]
    answer: int


class Answer(BaseModel):
    answer: str


class Small(BaseModel):
    answer: int = Field(le=99)


class Maybe(BaseModel):
    answer: int | None
    steps: list[str] | None


def schema(**parts: Any) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": {"type": "object", **parts}}}


def asked(client: OpenAI, wanted: Any, model: str = "quiz", **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=ASK, response_format=wanted, **more)


def test_an_object_holds_all_outputs(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(COUNTED)
    message = asked(client, JSON, "counting").choices[0].message
    assert json.loads(message.content) == {"reasoning": "r", "steps": ["a", "b"], "answer": 1234}
    assert (message.reasoning, message.outputs["answer"]) == ("r", 1234)
    assert "response_format" not in upstream.asked[0]


def test_plain_text_is_what_it_is_without_a_format(client: OpenAI) -> None:
    assert asked(client, {"type": "text"}).choices[0].message.content == "forty-two"


def test_a_pydantic_model_is_parsed(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(COUNTED)
    reply = client.chat.completions.parse(model="counting", messages=ASK, response_format=Counted)
    assert reply.choices[0].message.parsed == Counted(reasoning="r", steps=["a", "b"], answer=1234)


def test_a_model_of_some_outputs_gets_only_those(client: OpenAI) -> None:
    reply = client.chat.completions.parse(model="quiz", messages=ASK, response_format=Answer)
    assert reply.choices[0].message.content == '{"answer":"forty-two"}'
    assert reply.choices[0].message.parsed == Answer(answer="forty-two")


def test_a_model_with_values_that_may_be_missing_is_parsed(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(COUNTED)
    reply = client.chat.completions.parse(model="counting", messages=ASK, response_format=Maybe, n=2)
    assert [choice.message.parsed for choice in reply.choices] == [Maybe(answer=1234, steps=["a", "b"])] * 2


@pytest.mark.parametrize("piece", [1, 1000])
def test_a_streamed_reply_is_parsed(client: OpenAI, upstream: Upstream, piece: int) -> None:
    upstream.script = Script(COUNTED, piece=piece)
    with client.chat.completions.stream(model="counting", messages=ASK, response_format=Counted) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta" and event.delta]
        reply: Any = stream.get_final_completion()
    assert reply.choices[0].message.parsed == Counted(reasoning="r", steps=["a", "b"], answer=1234)
    assert deltas == [reply.choices[0].message.content]
    assert reply.choices[0].message.reasoning == "r"


async def test_the_asynchronous_client_parses_too(gateway: RunningGateway, upstream: Upstream) -> None:
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client:
        reply = await client.chat.completions.parse(model="quiz", messages=ASK, response_format=Answer)
    assert reply.choices[0].message.parsed == Answer(answer="forty-two")


def test_what_the_program_can_never_give_is_refused_before_it_runs(
    client: OpenAI, upstream: Upstream
) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.parse(model="quiz", messages=ASK, response_format=Small)
    assert (caught.value.param, caught.value.code) == ("response_format", "schema_unmeetable")
    assert "'answer' is str, and it wants integer" in caught.value.message
    assert upstream.asked == []


def test_a_name_that_is_no_output_is_refused(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        asked(client, schema(properties={"score": {"type": "number"}}, required=["score"]))
    assert "requires 'score'" in caught.value.message and "answer, reasoning" in caught.value.message


@pytest.mark.parametrize("model", [Small])
def test_an_answer_that_breaks_the_schema_is_not_sent(
    client: OpenAI, upstream: Upstream, model: type[BaseModel]
) -> None:
    upstream.script = Script(COUNTED)
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.parse(model="counting", messages=ASK, response_format=model)
    assert (caught.value.status_code, caught.value.code) == (502, "program_output_invalid")
    assert "at 'answer': it breaks 'maximum'" in caught.value.message
    assert "1234" not in caught.value.response.text
    assert float(caught.value.response.headers["x-smallforge-cost-usd"]) > 0


def test_a_streamed_answer_that_breaks_the_schema_is_a_last_error(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(COUNTED)
    wanted = schema(properties={"answer": {"maximum": 99}})
    chunks = []
    with pytest.raises(APIError) as caught:
        for chunk in asked(client, wanted, "counting", stream=True):
            chunks.append(chunk)
    assert caught.value.code == "program_output_invalid"
    assert not any(choice.delta.content for chunk in chunks for choice in chunk.choices)


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_cut_by_its_limit_has_no_content(client: OpenAI, upstream: Upstream, stream: bool) -> None:
    upstream.script = Script(REPLY[: REPLY.index("-two")], finish_reason="length")
    reply = asked(client, JSON, stream=stream)
    if stream:
        chunks = list(reply)
        assert not any(chunk.choices[0].delta.content for chunk in chunks)
        assert chunks[-1].choices[0].finish_reason == "length"
    else:
        assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("", "length")


def test_openais_client_tells_of_a_limit_that_cut_a_parsed_reply(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(REPLY[:40], finish_reason="length")
    with pytest.raises(LengthFinishReasonError):
        client.chat.completions.parse(model="quiz", messages=ASK, response_format=Answer)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ("json", "invalid_value"),
        ({"type": "yaml"}, "invalid_value"),
        ({"type": "structural_tag"}, "invalid_value"),
        ({"type": "json_schema"}, "invalid_value"),
        ({"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}, "invalid_value"),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}, "invalid_schema"),
        (
            {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array"}}},
            "invalid_schema",
        ),
        (schema(anyOf=[{"type": "object"}]), "invalid_schema"),
        (schema(properties={"answer": {"pattern": "^f"}}), "invalid_schema"),
    ],
)
def test_a_format_that_cannot_be_used_is_refused(client: OpenAI, wanted: Any, code: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        asked(client, wanted)
    assert (caught.value.param, caught.value.code) == ("response_format", code)


def test_a_format_without_a_schema_takes_any_object(client: OpenAI) -> None:
    reply = asked(client, {"type": "json_schema", "json_schema": {"name": "reply"}})
    assert json.loads(reply.choices[0].message.content) == {
        "reasoning": "Six times seven.",
        "answer": "forty-two",
    }


def test_a_schema_may_be_referred_to_by_its_root(client: OpenAI) -> None:
    parts = {"A": {"type": "object", "properties": {"answer": {}}, "additionalProperties": False}}
    named: Literal["reply"] = "reply"
    wanted = {"name": named, "schema": {"$ref": "#/$defs/A", "$defs": parts}}
    reply = asked(client, {"type": "json_schema", "json_schema": wanted})
    assert json.loads(reply.choices[0].message.content) == {"answer": "forty-two"}


def test_a_stop_and_json_do_not_go_together(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        asked(client, JSON, stop=["x"])
    assert caught.value.param == "stop"


def test_a_number_of_any_size_is_sent_as_it_is(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(COUNTED.replace("1234", "9" * 30))
    reply = client.chat.completions.parse(model="counting", messages=ASK, response_format=Counted)
    assert reply.choices[0].message.parsed is not None
    assert reply.choices[0].message.parsed.answer == int("9" * 30)


def test_a_checked_program_gives_json_after_its_checks(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(REPLY.replace("forty-two", "wrong"), then=Script(REPLY))
    reply = client.chat.completions.parse(model="checked", messages=ASK, response_format=Answer)
    assert reply.choices[0].message.parsed == Answer(answer="forty-two") and len(upstream.asked) == 2
