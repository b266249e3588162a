from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from programs.loading import load_program
from programs.plan import Field
from programs.program import Chat
from tests.gateway.serving import fingerprint_of, make_plan, put_release, running_gateway, settings_for
from tests.gateway.upstream import Script, Upstream

FOLDER = Path(__file__).parents[2] / "examples" / "household"


def said(calls: list[Any], reply: str) -> str:
    made = json.dumps({"tool_calls": calls})
    return f"[[ ## calls ## ]]\n{made}\n\n[[ ## reply ## ]]\n{reply}\n\n[[ ## completed ## ]]\n"


def test_the_house_runs_what_the_program_calls_and_says_what_it_replies(
    upstream: Upstream, tmp_path: Path
) -> None:
    plan = make_plan(
        "household",
        inputs=(Field("history", "history"), Field("tools", "tools"), Field("request")),
        outputs=(Field("calls", "tool_calls"), Field("reply")),
        chat=Chat("request", "reply", history="history"),
    )
    put_release(tmp_path / "releases", plan, fingerprint_of(upstream.url))
    call = {"name": "switch_lamp", "args": {"room": "hall", "on": True}}
    upstream.script = Script(said([call], ""), then=Script(said([], "It is on.")))
    with running_gateway(settings_for(tmp_path, upstream.url)) as gateway:
        command = [sys.executable, str(FOLDER / "ask.py"), "Light the hall.", f"{gateway.url}/v1"]
        done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stderr, done.stdout) == ("", "  switch_lamp(room='hall', on=True)\nIt is on.\n")


def test_every_row_calls_only_what_it_offers() -> None:
    rows = load_program(str(FOLDER / "household.py")).examples("train")
    assert len(rows) > 50 and any("history" in row for row in rows)
    for row in rows:
        assert {call["name"] for call in row.calls["tool_calls"]} <= {tool.name for tool in row.tools}
