"""Tools that a client runs, asked for with OpenAI's own client: a program that declares them calls them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import BadRequestError, InternalServerError, OpenAI, pydantic_function_tool
from pydantic import BaseModel

from programs.plan import Field, Plan
from programs.program import Chat
from tests.gateway.serving import (
    RunningGateway,
    fingerprint_of,
    make_plan,
    put_release,
    running_gateway,
    settings_for,
)
from tests.gateway.upstream import Script, Upstream

ASK: Any = [{"role": "user", "content": "Is it hot in Rome?"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "description": "Of today.", "parameters": CITY},
}
CLOCK: Any = {"type": "function", "function": {"name": "clock"}}
ROME = ("weather", {"city": "Rome"})


def said(*calls: tuple[str, Any], answer: str = "", reasoning: str = "I look.") -> Script:
    made = json.dumps({"tool_calls": [{"name": name, "args": args} for name, args in calls]})
    parts = {"reasoning": reasoning, "calls": made, "answer": answer}
    text = "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in parts.items())
    return Script(f"{text}\n\n[[ ## completed ## ]]\n")


def guide(**changes: Any) -> Plan:
    parts: dict[str, Any] = {
        "inputs": (Field("history", "history"), Field("tools", "tools"), Field("question")),
        "outputs": (Field("reasoning"), Field("calls", "tool_calls"), Field("answer")),
        "chat": Chat("question", "answer", history="history", reasoning=("reasoning",)),
    }
    return make_plan("guide", **{**parts, **changes})


@pytest.fixture(scope="module")
def _guided(_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("guided")
    student, releases = fingerprint_of(_upstream.url), folder / "releases"
    put_release(releases, guide(), student)
    put_release(releases, make_plan("quiz"), student)
    alone = (Field("tool", "tool"), Field("question"))
    calls = (Field("calls", "tool_calls"),)
    put_release(
        releases,
        guide(program="caller", inputs=alone, outputs=calls, chat=Chat("question", "calls")),
        student,
    )
    price = 'usd_per_hour = 0.36\nkind = "vllm"'
    with running_gateway(
        settings_for(folder, _upstream.url, price=price, gateway="constrain = true")
    ) as gateway:
        yield gateway


@pytest.fixture
def client(_guided: RunningGateway, upstream: Upstream) -> Iterator[OpenAI]:
    """A client of the programs `guide`, which calls tools or answers, `caller`, of one tool, and `quiz`."""
    upstream.script = said(ROME)
    with OpenAI(base_url=f"{_guided.url}/v1", api_key="k", max_retries=0, timeout=20) as client:
        yield client


def ask(client: OpenAI, messages: Any = ASK, tools: Any = (WEATHER, CLOCK), **more: Any) -> Any:
    return client.chat.completions.create(model="guide", messages=messages, tools=tools, **more)


def test_a_program_calls_the_tools_of_a_request(client: OpenAI, upstream: Upstream) -> None:
    choice = ask(client).choices[0]
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert call.type == "function" and call.id.startswith("call_")
    assert (call.function.name, json.loads(call.function.arguments)) == ROME
    assert choice.message.reasoning == "I look."
    asked = upstream.asked[0]["messages"][-1]["content"]
    assert "weather, whose description is <desc>Of today.</desc>. It takes arguments {'city':" in asked


def test_what_the_tools_gave_reaches_the_program_and_it_answers(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = said(ROME, ("clock", {}))
    message = ask(client).choices[0].message
    given = [{"role": "tool", "tool_call_id": call.id, "content": "30"} for call in message.tool_calls]
    upstream.script = said(answer="Yes.")
    choice = ask(client, [*ASK, message, *given]).choices[0]
    assert (choice.message.content, choice.message.tool_calls, choice.finish_reason) == ("Yes.", None, "stop")
    roles, texts = zip(*((m["role"], m["content"]) for m in upstream.asked[-1]["messages"]), strict=True)
    assert roles == ("system", "user", "assistant", "user", "user")
    assert '"name": "weather", "args": {"city": "Rome"}' in texts[2]
    assert texts[3].count('"value": "30"') == 2 and texts[3].startswith("[[ ## tool_call_results ## ]]")
    assert "Is it hot in Rome?" in texts[1] and "Is it hot in Rome?" in texts[4]


def test_an_earlier_exchange_with_calls_is_history(client: OpenAI, upstream: Upstream) -> None:
    message = ask(client).choices[0].message
    given = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "30"}
    upstream.script = said(answer="Cool.")
    later = {"role": "user", "content": "And in Oslo?"}
    ask(client, [*ASK, message, given, {"role": "assistant", "content": "Yes."}, later])
    roles = [message["role"] for message in upstream.asked[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "Oslo" in upstream.asked[-1]["messages"][-1]["content"]


@pytest.mark.parametrize("calls", [(ROME,), (ROME, ("clock", {}))])
def test_a_stream_gives_calls_as_the_client_puts_them_together(
    client: OpenAI, upstream: Upstream, calls: Any
) -> None:
    upstream.script = said(*calls)
    with client.chat.completions.stream(model="guide", messages=ASK, tools=[WEATHER, CLOCK]) as stream:
        for _ in stream:
            pass
        choice: Any = stream.get_final_completion().choices[0]
    made = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls]
    assert (made, choice.finish_reason) == (list(calls), "tool_calls")
    assert choice.message.reasoning == "I look." and not choice.message.content


def test_in_a_stream_a_calls_id_and_name_come_before_its_arguments(client: OpenAI) -> None:
    chunks = list(ask(client, stream=True, n=2))
    for choice in (0, 1):
        deltas = [c.choices[0].delta.tool_calls for c in chunks if c.choices[0].index == choice]
        first, second = [delta[0] for delta in deltas if delta]
        assert first.id and (first.index, first.function.name, first.function.arguments) == (0, "weather", "")
        assert (second.index, second.id, json.loads(second.function.arguments)) == (0, None, ROME[1])
    endings = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason]
    assert endings == ["tool_calls"] * 2


class GetWeather(BaseModel):
    """Weather of a city."""

    city: str
    days: list[int] | None = None


def test_a_pydantic_model_is_a_tool_and_its_arguments_are_parsed(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = said(("GetWeather", {"city": "Rome", "days": [1, 2]}))
    tools = [pydantic_function_tool(GetWeather)]
    reply = client.chat.completions.parse(model="guide", messages=ASK, tools=tools)
    (call,) = reply.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == GetWeather(city="Rome", days=[1, 2])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("calls", "why"),
    [
        ([("weather", {"town": "Rome"})], "they lack 'city'"),
        ([("weather", {"city": 3})], "at 'city': it breaks 'type'"),
        ([("forecast", {})], "calls a tool that there is not; there are 'weather', 'clock'"),
    ],
)
def test_calls_that_do_not_fit_are_asked_for_again_and_never_sent(
    client: OpenAI, upstream: Upstream, calls: Any, why: str, stream: bool
) -> None:
    wrong = said(*calls)
    upstream.script = Script(wrong.text, then=said(ROME))
    reply = ask(client, stream=stream)
    assert (list(reply)[-1] if stream else reply).choices[0].finish_reason == "tool_calls"
    assert why in upstream.asked[1]["messages"][-1]["content"]
    upstream.script = wrong
    with pytest.raises(InternalServerError) as caught:
        list(ask(client, stream=stream))
    assert (caught.value.status_code, caught.value.code) == (502, "program_output_invalid")
    assert why in caught.value.message and "forecast" not in caught.value.message


NAMED: Any = {"type": "function", "function": {"name": "clock"}}
ALLOWED: Any = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}}


@pytest.mark.parametrize(
    ("fields", "wrong", "right", "why"),
    [
        ({"tool_choice": "required"}, [], [ROME], "it must call 'weather' or 'clock'"),
        ({"tool_choice": NAMED}, [ROME], [("clock", {})], "there is not; there are 'clock'"),
        ({"tool_choice": ALLOWED}, [], [("clock", {})], "it must call 'clock'"),
        ({"tool_choice": "none"}, [ROME], [], "there are no tools to call"),
        ({"parallel_tool_calls": False}, [ROME, ROME], [ROME], "may hold 1 call at most"),
    ],
)
def test_how_tools_are_to_be_called_is_obeyed(
    client: OpenAI, upstream: Upstream, fields: Any, wrong: Any, right: Any, why: str
) -> None:
    upstream.script = Script(said(*wrong, answer="-").text, then=said(*right, answer="No."))
    choice = ask(client, **fields).choices[0]
    made = [
        (call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or []
    ]
    assert made == right and choice.finish_reason == ("tool_calls" if right else "stop")
    assert why in upstream.asked[1]["messages"][-1]["content"]
    pattern = upstream.asked[0]["structured_outputs"]["regex"]
    assert re.fullmatch(pattern, said(*right, answer="No.").text)
    assert not re.fullmatch(pattern, said(*wrong, answer="-").text)


def test_without_a_word_of_tools_the_program_has_none(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = said(answer="I can't know.")
    reply = client.chat.completions.create(model="guide", messages=ASK)
    assert reply.choices[0].message.content == "I can't know."
    assert "[[ ## tools ## ]]\n[]" in upstream.asked[0]["messages"][-1]["content"]


def test_a_student_is_not_held_where_arguments_are_deeper_than_an_expression(
    client: OpenAI, upstream: Upstream
) -> None:
    deep: Any = {"type": "array", "items": {"type": "array", "items": {"type": "array"}}}
    tool = {"name": "grid", "parameters": {"type": "object", "properties": {"cells": deep}}}
    upstream.script = said(("grid", {"cells": [[[1]]]}))
    ask(client, tools=[{"type": "function", "function": tool}])
    assert "structured_outputs" not in upstream.asked[0]


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        (
            {"tools": [{"type": "custom", "custom": {"name": "x"}}]},
            "tools",
            "of type 'custom'; only functions",
        ),
        ({"tools": [CLOCK, CLOCK]}, "tools", "two tools of the name 'clock'"),
        ({"tools": [], "tool_choice": "required"}, "tool_choice", "only allowed with 'tools'"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice",
            "names 'x', which is none",
        ),
        ({"tool_choice": {"type": "custom", "custom": {"name": "x"}}}, "tool_choice", "must name a function"),
        ({"tool_choice": "maybe"}, "tool_choice", "must be 'none', 'auto', 'required'"),
        ({"functions": [{"name": "x"}]}, "functions", "send `tools`"),
        ({"extra_body": {"inputs": {"question": "q", "tools": []}}}, "inputs.tools", "given twice"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_before_anything_runs(
    client: OpenAI, upstream: Upstream, fields: Any, param: str, told: str
) -> None:
    with pytest.raises(BadRequestError, match=re.escape(told)) as caught:
        ask(client, **fields)
    assert caught.value.param == param and not upstream.asked


def test_a_program_without_tools_refuses_them_as_ever(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="this program calls no tools") as caught:
        client.chat.completions.create(model="quiz", messages=ASK, tools=[WEATHER])
    assert (caught.value.param, caught.value.code) == ("tools", "unsupported_parameter")


def test_each_model_says_whether_it_calls_tools(_guided: RunningGateway) -> None:
    for model, calls in (("guide", True), ("quiz", False)):
        card = httpx.get(f"{_guided.url}/v1/models/{model}").json()["smallforge"]
        assert card["capabilities"]["tools"] is calls and not (calls and card["capabilities"]["streaming"])
        assert card["parameters"]["tools"] == ("apply" if calls else "refuse")
        entry = httpx.get(f"{_guided.url}/api/v0/models/{model}").json()
        assert entry.get("capabilities", []) == (["tool_use"] if calls else [])


def test_a_program_of_one_tool_that_only_calls_takes_one_and_has_no_content(
    client: OpenAI, upstream: Upstream
) -> None:
    upstream.script = Script('[[ ## calls ## ]]\n[{"name": "clock", "args": {}}]\n\n[[ ## completed ## ]]\n')
    reply = client.chat.completions.create(model="caller", messages=ASK, tools=[CLOCK])
    message = reply.choices[0].message
    assert message.content is None and message.tool_calls is not None
    given: Any = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "noon"}
    for messages, tools in ((ASK, [CLOCK, WEATHER]), ([*ASK, message, given], [CLOCK])):
        with pytest.raises(BadRequestError, match=r"takes one tool|can't be told what a tool gave"):
            client.chat.completions.create(model="caller", messages=messages, tools=tools)


def test_json_is_asked_of_answers_and_not_of_calls(client: OpenAI, upstream: Upstream) -> None:
    wanted: Any = {"type": "json_object"}
    assert ask(client, response_format=wanted).choices[0].message.content is None
    upstream.script = said(answer="Yes.")
    content = ask(client, response_format=wanted).choices[0].message.content
    assert json.loads(content) == {"reasoning": "I look.", "answer": "Yes."}


def test_a_reply_that_was_cut_calls_nothing(client: OpenAI, upstream: Upstream) -> None:
    upstream.script = Script(said(ROME).text[:60], finish_reason="length")
    choice = ask(client).choices[0]
    assert (choice.finish_reason, choice.message.tool_calls) == ("length", None)


FLAT: Any = [{"type": "function", **WEATHER["function"], "strict": False}]


def test_responses_call_tools_and_take_what_they_gave(client: OpenAI, upstream: Upstream) -> None:
    asked: Any = [{"role": "user", "content": "Is it hot in Rome?"}]
    reply = client.responses.create(model="guide", input=asked, tools=FLAT, store=False)
    reasoning, call = reply.output
    assert (reasoning.type, call.type, reply.status) == ("reasoning", "function_call", "completed")
    assert call.type == "function_call" and (call.name, json.loads(call.arguments)) == ROME
    assert call.call_id.startswith("call_") and reply.tool_choice == "auto" and len(reply.tools) == 1
    given: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "30"}
    upstream.script = said(answer="Yes.")
    said_so_far: Any = [*asked, *reply.output, given]
    again = client.responses.create(model="guide", input=said_so_far, tools=FLAT, store=False)
    assert again.output_text == "Yes."
    assert '"value": "30"' in upstream.asked[-1]["messages"][3]["content"]


def test_responses_stream_calls_as_typed_events(client: OpenAI) -> None:
    with client.responses.stream(model="guide", input="Is it hot?", tools=FLAT, store=False) as stream:
        kinds = [event.type for event in stream]
        reply = stream.get_final_response()
    assert [kind for kind in kinds if "function_call" in kind] == [
        "response.function_call_arguments.delta", "response.function_call_arguments.done",
    ]  # fmt: skip
    call = reply.output[-1]
    assert call.type == "function_call" and json.loads(call.arguments) == ROME[1]
    assert not any(item.type == "message" for item in reply.output)


@pytest.mark.parametrize(
    ("choice", "told"),
    [({"type": "function", "name": "x"}, "names 'x'"), ({"type": "web_search"}, "must name a function")],
)
def test_a_choice_that_responses_cannot_have_is_refused(client: OpenAI, choice: Any, told: str) -> None:
    with pytest.raises(BadRequestError, match=told):
        client.responses.create(model="guide", input="q", tools=FLAT, tool_choice=choice, store=False)


def test_a_strict_gateway_finds_nothing_of_tools_ignored(upstream: Upstream, tmp_path: Path) -> None:
    put_release(tmp_path / "releases", guide(), fingerprint_of(upstream.url))
    upstream.script = said(ROME)
    with (
        running_gateway(settings_for(tmp_path, upstream.url, gateway="strict = true")) as gateway,
        OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client,
    ):
        assert ask(client, parallel_tool_calls=True).choices[0].finish_reason == "tool_calls"
