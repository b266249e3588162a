"""Tests for compiler/service/conversation_page.py, over a model server that answers from a script."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from compiler.events import Finished
from tests.compiler.conftest import Builds
from tests.compiler.service.served import Told, furnish, serving
from tests.gateway.upstream import Script, Upstream, running_upstream

Events = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running_upstream() as upstream:
        yield upstream


@pytest.fixture
def console(builds: Builds, tmp_path: Path, upstream: Upstream) -> Iterator[httpx.Client]:
    with serving(tmp_path, furnish(tmp_path, upstream.url), Told()) as client:
        yield client


@pytest.fixture
def question(builds: Builds) -> dict[str, str]:
    last = builds.worked[-1]
    assert isinstance(last, Finished)
    return {"release": f"sums@{last.result.version}", "input.question": "What is six times seven?"}


def ask(console: httpx.Client, question: dict[str, str]) -> Events:
    answer = console.post("/test/ask", data=question)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
    found = re.findall(r"^event: (\w+)\ndata: (.*)$", answer.text, re.MULTILINE)
    return [(name, json.loads(data)) for name, data in found]


def parts(events: Events) -> dict[str, dict[str, Any]]:
    return {data["part"]: data for name, data in events if name == "part"}


def text(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def test_each_side_is_told_piece_by_piece_and_then_as_a_whole(
    console: httpx.Client, question: dict[str, str]
) -> None:
    events = ask(console, question)
    names = [name for name, _ in events]
    assert names[0] == "turn" and names[-1] == "over" and names.count("turn") == 1
    for place, title in (("plain", "Unoptimised"), ("compiled", "Compiled")):
        shown = [
            data["text"] for name, data in events if name == "text" and data["part"] == f"{place}.answer"
        ]
        assert "".join(shown) == "forty-two"
        whole = parts(events)[place]
        assert whole["heard"] == f"{title} answers: forty-two"
        for told in ("forty-two", "Six times seven.", "Tokens", "first text after", "Rendered prompt"):
            assert told in text(whole["html"])


def test_a_turn_is_kept_with_the_answer_of_each_side(console: httpx.Client, question: dict[str, str]) -> None:
    kept = parts(ask(console, question))["kept"]["html"]
    turn = json.loads(html.unescape(re.findall(r'value="([^"]*)"', kept)[0]))
    said = {"question": "What is six times seven?", "answer": "forty-two"}
    assert turn == {"plain": said, "compiled": said}


def test_an_engine_that_breaks_off_ends_its_side_in_a_sentence_after_the_text_so_far(
    console: httpx.Client, question: dict[str, str], upstream: Upstream
) -> None:
    upstream.script = Script(trouble="error_midway", then=Script())
    events = ask(console, question)
    ended = parts(events)
    (broken,) = [place for place in ("plain", "compiled") if "it broke" in ended[place]["heard"]]
    (whole,) = {"plain", "compiled"} - {broken}
    assert "Six times seven." in text(ended[broken]["html"]) and "Latency" not in text(ended[broken]["html"])
    assert "forty-two" in ended[whole]["heard"] and events[-1][0] == "over"
    assert (
        f"&#34;{whole}&#34;" in ended["kept"]["html"] and f"&#34;{broken}&#34;" not in ended["kept"]["html"]
    )


def test_who_leaves_ends_the_work_of_the_engine(
    console: httpx.Client, question: dict[str, str], upstream: Upstream
) -> None:
    upstream.script = Script(trouble="stall_midway")
    with console.stream("POST", "/test/ask", data=question) as answer:
        lines = answer.iter_lines()
        assert any("Six" in line for line in lines)
        assert upstream.stalled.wait(5)
    assert upstream.abandoned.wait(5)


def test_an_input_that_is_missing_is_told_before_anything_is_asked(
    console: httpx.Client, question: dict[str, str], upstream: Upstream
) -> None:
    refused = console.post("/test/ask", data={**question, "input.question": " "}, headers={"x-fragment": "1"})
    assert refused.status_code == 422 and "needs 'question'" in text(refused.text)
    assert "<html" not in refused.text and upstream.asked == []


def test_each_side_says_by_itself_that_its_engine_is_gone(
    builds: Builds, tmp_path: Path, question: dict[str, str]
) -> None:
    with serving(tmp_path, furnish(tmp_path), Told()) as client:
        ended = parts(ask(client, question))
    for place in ("plain", "compiled"):
        told = "The engine at http://127.0.0.1:9 can't be reached: Connection refused."
        assert told in text(ended[place]["html"])
    assert ended["kept"]["html"].count("{}") == 1


def test_a_program_whose_own_code_fails_is_told_and_the_release_answers_all_the_same(
    console: httpx.Client, question: dict[str, str], tmp_path: Path
) -> None:
    program = tmp_path / "programs" / "sums.py"
    program.write_text(program.read_text() + BROKEN)
    ended = parts(ask(console, question))
    assert "The program's own code failed (ZeroDivisionError)" in ended["plain"]["heard"]
    assert ended["compiled"]["heard"] == "Compiled answers: forty-two"


BROKEN = """
class Broken(dspy.Module):
    async def aforward(self, question: str) -> dspy.Prediction:
        return dspy.Prediction(answer=str(1 / 0))


import dataclasses

program = dataclasses.replace(program, make_module=Broken)
"""
