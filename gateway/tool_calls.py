"""A program's calls of tools in OpenAI's words: in a message, in the deltas of a stream, as items of a
response.

The client runs the tools. It gets an id with each call, and sends what a tool gave with that id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gateway.protocol import new_id
from programs.execution import Outcome
from programs.json_values import write_json
from programs.tool_calls import ToolFields


class MadeCall(NamedTuple):
    """One call with the id that it got; `arguments` is JSON."""

    id: str
    name: str
    arguments: str


def calls_made(fields: ToolFields | None, outcome: Outcome) -> list[MadeCall]:
    """What an outcome calls; nothing where its reply was cut."""
    if fields is None or not outcome.complete:
        return []
    calls = fields.calls_in(outcome.outputs)
    return [MadeCall(new_id("call_"), call.name, write_json(call.args).decode()) for call in calls]


def message_calls(calls: Sequence[MadeCall]) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]


def call_deltas(calls: Sequence[MadeCall]) -> Iterator[dict[str, Any]]:
    """Of each call first its id and name, then its arguments, as OpenAI's own streams have it."""
    for index, call in enumerate(calls):
        named = {"name": call.name, "arguments": ""}
        yield {"index": index, "id": call.id, "type": "function", "function": named}
        yield {"index": index, "function": {"arguments": call.arguments}}


def call_item(call: MadeCall, id: str, status: str = "completed") -> dict[str, Any]:
    """A call as an item of a response; one that is in progress has no arguments yet."""
    arguments = call.arguments if status == "completed" else ""
    about = {"id": id, "type": "function_call", "status": status}
    return {**about, "call_id": call.id, "name": call.name, "arguments": arguments}
