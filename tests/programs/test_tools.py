from __future__ import annotations

from typing import Any

import dspy
import pytest
from dspy.adapters.utils import parse_value

from programs.tool_objects import as_tools, plain_tools
from programs.tools import MOST_TOOLS, Call, Offer, ToolsUnusable, call_variants, read_calls, read_offer

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: dict[str, Any] = {"name": "weather", "description": "Of a\ncity.", "parameters": CITY}
NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
TWICE = {
    f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]} for n in range(20)
}


def weather(**parameters: Any) -> dict[str, Any]:
    return {"name": "weather", "parameters": {"type": "object", **parameters}}


@pytest.mark.parametrize(
    "form", [WEATHER, {"type": "function", **WEATHER}, {"type": "function", "function": WEATHER}]
)
def test_a_tool_is_read_in_the_forms_of_chats_of_responses_and_of_rows(form: dict[str, Any]) -> None:
    (tool,) = read_offer([form]).tools
    assert tool.as_dict() == WEATHER
    assert read_offer(form).tools == (tool,)


def test_a_tool_is_shown_as_dspy_shows_it() -> None:
    def weather(city: str, unit: str = "C") -> None:
        """Of a city,
        today."""

    own = dspy.Tool(weather)
    assert read_offer(plain_tools([own])).texts == [str(own)]
    (made,) = as_tools([WEATHER])
    assert read_offer([WEATHER]).texts == [str(made)]


def test_an_argument_that_may_be_left_out_is_shown_with_a_default() -> None:
    (tool,) = read_offer([weather(properties={"unit": {"enum": ["C", "F"]}})]).tools
    assert tool.args == {"unit": {"enum": ["C", "F"], "default": None}}


def test_references_are_written_out_but_not_within_themselves() -> None:
    (tool,) = read_offer(
        [weather(**{"$defs": {"node": NODE}}, properties={"a": {"$ref": "#/$defs/node"}})]
    ).tools
    shown = tool.args["a"]
    assert shown["properties"]["next"] == {"$ref": "#/$defs/node"}
    assert tool.misfit({"a": {"next": {"next": 3}}}) == "at 'a/next/next': it breaks 'type'"


def test_the_function_of_a_clients_tool_is_never_run_here() -> None:
    (tool,) = as_tools([WEATHER])
    with pytest.raises(Exception, match="'weather' is run by the client"):
        tool(city="Rome")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("weather", "must be a list of tools"),
        ([3], r"\[0\] is no object"),
        ([{"type": "custom", "custom": {"name": "x"}}], "of type 'custom'; only functions"),
        ([{"type": "function", "function": {}}], "has no name"),
        ([{"name": "no spaces"}], "the name 'no spaces'"),
        ([{"name": "a", "description": 3}], "a description that is no text"),
        ([{"name": "a", "parameters": {"type": "string"}}], "no schema of an object"),
        ([weather(properties={"a": {"minimum": "x"}})], "can't be used: at 'properties/a': 'minimum'"),
        ([weather(properties={"a": {"$ref": "#/$defs/b"}})], "leads to no schema"),
        ([{**weather(properties={"a": {"pattern": "x"}}), "strict": True}], "'pattern' is not supported"),
        ([weather(**{"$defs": {**TWICE, "d20": {}}}, properties={"a": {"$ref": "#/$defs/d0"}})], "too large"),
        ([WEATHER, WEATHER], "two tools of the name 'weather'"),
        ([WEATHER] * (MOST_TOOLS + 1), "at most 128 tools"),
    ],
)
def test_tools_that_cannot_be_used_are_told_with_their_place(value: object, why: str) -> None:
    with pytest.raises(ToolsUnusable, match=why):
        read_offer(value)


def test_a_keyword_that_is_not_checked_is_shown_all_the_same() -> None:
    (tool,) = read_offer(
        [weather(properties={"a": {"type": "string", "pattern": "x+"}}, required=["a"])]
    ).tools
    assert tool.args["a"]["pattern"] == "x+" and tool.misfit({"a": "y"}) is None


@pytest.mark.parametrize(
    ("calls", "problem"),
    [
        ([], None),
        ([("weather", {"city": "Rome"})], None),
        ([("weather", {})], "the args of a call of 'weather' do not fit: they lack 'city'"),
        ([("weather", {"city": 3})], "do not fit: at 'city': it breaks 'type'"),
        ([("forecast", {"city": "secret"})], "calls a tool that there is not; there are 'weather'"),
    ],
)  # fmt: skip
def test_a_call_must_be_of_a_tool_on_offer_with_arguments_that_fit(calls: Any, problem: str | None) -> None:
    found = read_offer([WEATHER]).problem([Call(*call) for call in calls])
    assert found is None if problem is None else found is not None and problem in found
    assert "secret" not in str(found)


def test_an_offer_says_how_many_calls_it_takes() -> None:
    tools, call = read_offer([WEATHER]).tools, Call("weather", {"city": "Rome"})
    assert Offer(tools, fewest=1).problem([]) == "it must call 'weather'"
    assert Offer(tools, most=1).problem([call, call]) == "it may hold 1 call at most"
    assert Offer(tools, most=0).problem([call]) == "it may hold no calls at most"
    assert Offer().problem([call]) == "there are no tools to call, so it must hold no calls"


@pytest.mark.parametrize(
    "text",
    [
        '{"tool_calls": [{"name": "a", "args": {"x": 1}}]}',
        '{"tool_calls": []}',
        "[]",
        '[{"name": "a", "args": {}}, {"name": "b", "arguments": "{\\"x\\": [1]}"}]',
        '{"name": "a", "args": {"x": null}}',
        '{"type": "function", "id": "i", "function": {"name": "a", "arguments": "{}"}}',
        '{"function": {}, "name": "a"}',
        '{"tool_calls": [{"name": "a"}]}',
        '{"tool_calls": [{"name": "a", "args": 3}]}',
        "{'tool_calls': [{'name': 'a', 'args': {'x': True}}]}",
        '{"tool_calls": [{"name": "a", "args": {"x": 1}}], "tool_call_results": 3}',
        "```json\n[{'name': 'a', 'args': {}}]\n```",
        '{"tool_calls": [3]}', '{"tool_calls": [{"args": {}}]}', '{"tool_calls": {}}', '[{"name": "a"}]',
        '{"name": 3, "args": {}}', '{"name": "a", "args": "x"}', '{"name": "a", "args": {}, "id": 3}',
        '{"function": 3}', "", "none", "3", "null", '"a"',
    ],
)  # fmt: skip
def test_calls_are_read_as_dspy_reads_them(text: str) -> None:
    import json_repair

    try:
        expected = parse_value(text, dspy.ToolCalls).model_dump()["tool_calls"]
    except ValueError:
        with pytest.raises(ValueError):
            read_calls(json_repair.loads(text))
        return
    assert [call._asdict() for call in read_calls(json_repair.loads(text))] == expected


def test_a_label_may_be_calls_or_several_that_would_do() -> None:
    one, other = {"name": "a", "args": {}}, {"name": "b", "args": {}}
    assert call_variants([one]) == {"tool_calls": [one]}
    assert call_variants([[one], {"tool_calls": [other]}]) == [{"tool_calls": [one]}, {"tool_calls": [other]}]


@pytest.mark.parametrize(
    ("schema", "depth"),
    [
        ({"type": "string"}, 0),
        ({"type": ["array", "null"], "items": {"type": "string"}}, 1),
        ({"anyOf": [{"type": "null"}, {"properties": {"b": {"items": {}}}}]}, 2),
        ({"$ref": "#/$defs/node"}, float("inf")),
    ],
)
def test_how_deep_arguments_may_be_is_known_from_their_schema(schema: Any, depth: float) -> None:
    assert read_offer([weather(**{"$defs": {"node": NODE}}, properties={"a": schema})]).depth == depth
