"""A whole build of a program with checks: asked again while optimising, scoring and in the release."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from compiler.build import build
from compiler.events import BuildResult, Finished
from compiler.request import Cast
from engine.chat import Reply
from programs.checks import Check, matches, satisfies
from programs.execution import PlanExecutor
from programs.program import Program
from programs.release import read_release
from tests.compiler.scripted import Adder, Bound, program, request, said

DIGITS = matches("answer", r"\d+")


class Chatty(Adder):
    """Adds rightly, but says only after a complaint no more than the number."""

    def _answer(self, messages: list[dict[str, str]]) -> Reply:
        complained = messages[-1]["content"].startswith("That answer can't be accepted")
        reply = super()._answer(messages[:-2] if complained else messages)
        total = reply.text.rpartition("make ")[2].split()[0]
        return (
            reply
            if complained
            else Reply(said("I add", f"It is {total}!"), "", "stop", reply.usage, "chatty")
        )


def checked(*checks: Check, retries: int = 1) -> Program:
    return replace(program(), checks=checks, check_retries=retries)


async def run(folder: Path, asked: Program, model: Adder) -> BuildResult:
    events = [e async for e in build(request(folder, asked, optimizer="none"), Cast(Bound(model), None))]
    assert isinstance(events[-1], Finished)
    return events[-1].result


async def test_answers_are_asked_for_again_and_the_release_does_the_same(tmp_path: Path) -> None:
    result = await run(tmp_path, checked(DIGITS), chatty := Chatty())
    assert (result.compiled.mean, result.compiled.unchecked, result.lowered) == (0.5, 0, True)
    assert chatty.calls >= 2 * 40
    plan = read_release(result.path).plan
    assert plan is not None and plan.checks == (DIGITS,)
    outcome = await PlanExecutor(plan).run({"question": "What is 2 + 2?"}, Chatty(), {})
    assert (outcome.outputs["answer"], outcome.attempts) == ("4", 2)


async def test_answers_that_never_pass_score_nothing_and_are_counted(tmp_path: Path) -> None:
    result = await run(tmp_path, checked(DIGITS, retries=0), Chatty())
    assert (result.compiled.mean, result.compiled.unchecked) == (0.0, 40)
    rows = scorecard(result)
    assert {row["fault"] for row in rows} == {"check"}
    assert "'answer' must match" in rows[0]["error"]


async def test_a_function_is_checked_too_and_its_program_stays_interpreted(tmp_path: Path) -> None:
    digits = satisfies("only digits", lambda inputs, outputs: outputs["answer"].isdigit())
    result = await run(tmp_path, checked(digits), Chatty())
    assert (result.compiled.mean, result.lowered) == (0.5, False)
    release = read_release(result.path)
    assert release.identity.kind == "interpreted"
    assert "'only digits' is a function" in evidence(result)["lowering"]["reason"]


def scorecard(result: BuildResult) -> Sequence[dict[str, Any]]:
    file = result.path / "evidence" / result.build_id / "scorecard.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def evidence(result: BuildResult) -> dict[str, Any]:
    return dict(json.loads((result.path / "evidence" / result.build_id / "build.json").read_text()))
