"""Builds of the word problems, by a model that works them out once it was shown how."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import dspy
import orjson

from compiler.build import build
from compiler.events import Finished
from compiler.request import Cast
from engine.chat import Delta, Reply, Usage
from programs.program import SPLITS, Program, Split
from programs.tasks import gsm8k
from programs.tasks.gsm8k_rows import drawn_rows, read_word_problems
from tests.compiler.scripted import Bound, request

SPLIT = {split: read_word_problems(drawn_rows(split), split) for split in SPLITS}
KNOWN = {problem.question: problem for problems in SPLIT.values() for problem in problems}


class Pupil:
    """Works out every problem of the sample where it was shown how, else guesses."""

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        asked = [message["content"] for message in orjson.loads(orjson.dumps(list(messages)))]
        question = re.findall(r"\[\[ ## question ## \]\]\n(.*)", asked[-1])[-1]
        reasoning, answer = "I guess.", "about 1,000,000"
        if any(" = " in shown for shown in asked[1:-1]):
            reasoning, answer = KNOWN[question].reasoning, f"${int(KNOWN[question].answer):,}.00 in all."
        text = f"[[ ## reasoning ## ]]\n{reasoning}\n\n[[ ## answer ## ]]\n{answer}\n\n[[ ## completed ## ]]"
        return Reply(text, "", "stop", Usage(100, 10), "pupil")

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Delta, None]:
        reply = await self.complete(messages, params)
        yield Delta(reply.text, finish_reason="stop", usage=reply.usage)


def sampled() -> Program:
    def examples(split: Split) -> list[dspy.Example]:
        return [gsm8k.as_example(problem) for problem in SPLIT[split]]

    return replace(gsm8k.program, examples=examples)


async def test_the_sample_builds_a_plan_whose_demonstrations_are_worked_out(tmp_path: Path) -> None:
    wanted = request(tmp_path, sampled(), optimizer="LabeledFewShot", arguments={"k": 2})
    events = [event async for event in build(wanted, Cast(Bound(Pupil())))]
    assert isinstance(events[-1], Finished)
    result = events[-1].result
    scores = {contender.name: contender.summary.mean for contender in result.contenders}
    assert result.lowered and result.compiled.n == 100
    assert scores == {"zero-shot": 0.0, "manual few-shot": 1.0, "compiled": 1.0}
    (plan,) = (tmp_path / "releases" / "gsm8k").glob("*/plan.json")
    assert plan.read_text().count(" = ") >= 4 and "<<" not in plan.read_text()
