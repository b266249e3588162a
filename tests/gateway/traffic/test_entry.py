"""Tests for gateway/traffic/entry.py: what goes in can be read again by a build."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.traffic.entry import kept_inputs
from programs.data import load_examples
from programs.json_values import write_json
from programs.plan import Field
from programs.tool_objects import plain_tools
from programs.tools import read_offer

ADD = {
    "name": "add",
    "description": "Adds one.",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
}
CALLS = {"tool_calls": [{"name": "add", "args": {"a": 1}}]}


def test_tools_and_earlier_turns_are_rows_of_a_program_that_takes_them(tmp_path: Path) -> None:
    given = {
        "question": "One more than 2?",
        "tools": read_offer([{"type": "function", "function": ADD}]),
        "history": [{"question": "One more than 1?", "calls": {**CALLS, "tool_call_results": ["2"]}}],
    }
    row = {**json.loads(write_json(kept_inputs(given))), "calls": CALLS, "smallforge": {"response_id": "r"}}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    fields = [Field("question"), Field("tools", "tools"), Field("history", "history", required=False)]
    (example,) = load_examples(tmp_path / "rows.jsonl", fields, [Field("calls", "tool_calls")])
    assert plain_tools(example.tools) == [ADD]
    assert example.history.messages == given["history"]
    assert example.calls == CALLS and "smallforge" not in example
