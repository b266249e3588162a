"""A whole build of a program that declares tools, from rows with tools in JSON to a release."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from compiler.build import build
from compiler.events import BuildResult, Finished
from compiler.request import Cast
from engine.chat import Reply, Usage
from programs.execution import PlanExecutor
from programs.loading import load_program
from programs.release import read_release
from programs.tool_calls import tool_fields
from tests.compiler.scripted import Adder, Bound, request

pytestmark = pytest.mark.timeout(180)  # whole builds, which a busy machine takes its time for
HOUSEHOLD = Path(__file__).parents[2] / "examples" / "household" / "household.py"
_LAMP = re.compile(r"lamp in the (\w+)")


class Switcher(Adder):
    """Switches on whatever lamp is spoken of, if it is shown a tool for it, and once the word `True`."""

    def _answer(self, messages: list[dict[str, str]]) -> Reply:
        self.asked.append(messages)
        asked = messages[-1]["content"]
        room = _LAMP.search(asked.partition("[[ ## request ## ]]")[2])
        calls = []
        if room and "switch_lamp" in asked and "tool_call_results" not in messages[-2]["content"]:
            calls = [{"name": "switch_lamp", "args": {"room": room.group(1), "on": True}}]
        reply = f"[[ ## calls ## ]]\n{json.dumps({'tool_calls': calls})}\n\n[[ ## reply ## ]]\n\n"
        return Reply(f"{reply}[[ ## completed ## ]]", "", "stop", Usage(100, 20), "switcher")


async def run(folder: Path, optimizer: str) -> tuple[BuildResult, Switcher]:
    asked, model = request(folder, load_program(str(HOUSEHOLD)), optimizer=optimizer), Switcher()
    events = [event async for event in build(asked, Cast(Bound(model), None))]
    assert isinstance(events[-1], Finished)
    return events[-1].result, model


async def test_rows_with_tools_build_a_release_that_calls_them(tmp_path: Path) -> None:
    result, _ = await run(tmp_path, "LabeledFewShot")
    assert result.lowered and 0 < result.compiled.mean < 1
    release = read_release(result.path)
    assert release.plan is not None
    kinds = Counter(field.type for field in (*release.plan.inputs, *release.plan.outputs))
    assert kinds == {"history": 1, "tools": 1, "tool_calls": 1, "str": 2}
    assert any('"name": "set_heating", "args"' in message.content for message in release.plan.prefix)
    assert all(
        path.suffix in (".json", ".jsonl", ".html") for path in result.path.rglob("*") if path.is_file()
    )


async def test_a_built_release_runs_as_it_was_scored(tmp_path: Path) -> None:
    result, model = await run(tmp_path, "none")
    plan = read_release(result.path).plan
    assert plan is not None
    runs, fields = PlanExecutor(plan), tool_fields(plan.inputs, plan.outputs)
    assert fields is not None
    lamp = {"name": "switch_lamp", "parameters": {"type": "object", "properties": {"room": {}, "on": {}}}}
    outcome = await runs.run({"tools": [lamp], "request": "The lamp in the hall, please"}, model, {})
    assert [call.name for call in fields.calls_in(outcome.outputs)] == ["switch_lamp"]
