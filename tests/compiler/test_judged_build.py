"""A whole build whose metric asks the teacher: recorded, counted, and asked once for each answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from compiler.build import build
from compiler.events import BuildResult, Finished
from compiler.request import Cast
from engine.chat import Reply, Usage
from engine.errors import ContextWindowExceeded
from programs.judged_metrics import judged_by_rubric
from programs.metrics import exact_match, weighted_sum
from tests.compiler.scripted import Adder, Bound, Named, program, request

RUBRIC = "The number is right."


class Strict(Adder):
    """As a teacher an adder; as a judge it knows the label, and grades 5 where the answer has it, else 2."""

    def __init__(self, too_long: str = "nothing") -> None:
        super().__init__()
        self.judged: list[str] = []
        self._too_long = too_long

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        system, user, *_ = [str(message["content"]) for message in orjson.loads(orjson.dumps(list(messages)))]
        if RUBRIC not in system:
            return await super().complete(messages, params)
        self.judged.append(user)
        if self._too_long in user:
            raise ContextWindowExceeded("8192 tokens at most")
        label, answer = re.findall(r"<<<\w+ (?:an answer known|the answer).*\n(.*)\n", user)
        text = "Right.\nScore: 5" if label == answer else "Wrong.\nScore: 2"
        return Reply(text, "", "stop", Usage(50, 5), "strict")


async def run(folder: Path, teacher: Strict, **asked: Any) -> BuildResult:
    metric = weighted_sum((judged_by_rubric("answer", RUBRIC), 1), (exact_match("answer"), 3))
    wanted = request(folder, program(metric=metric), optimizer="none", **asked)
    cast = Cast(Bound(Adder()), Bound(teacher, "strict", Named("strict")))
    events = [event async for event in build(wanted, cast)]
    assert isinstance(events[-1], Finished)
    return events[-1].result


async def test_the_teacher_judges_each_answer_once_and_every_part_is_told(tmp_path: Path) -> None:
    result = await run(tmp_path, teacher := Strict())
    # Half of the 40 sums are right: (1 + 0.25) / 2 by the judge.
    assert result.compiled.parts == {"judged_by_rubric(answer)": 0.625, "exact_match(answer)": 0.5}
    assert result.compiled.mean == 0.25 * 0.625 + 0.75 * 0.5
    on_test = [user for user in teacher.judged if "What is 20" in user]
    assert len(on_test) == len(set(on_test)) == 40


async def test_a_build_that_goes_on_asks_the_judge_nothing_again(tmp_path: Path) -> None:
    first = await run(tmp_path, Strict(), build_id="judged")
    again = await run(tmp_path, teacher := Strict(), build_id="judged")
    assert teacher.judged == [] and again.compiled.mean == first.compiled.mean


async def test_an_answer_that_does_not_fit_the_judge_is_one_lost_answer_and_not_the_build(
    tmp_path: Path,
) -> None:
    result = await run(tmp_path, Strict(too_long="What is 2000 + 1000?"))
    assert result.compiled.errors == 1 and result.compiled.mean == pytest.approx(0.53125 - 1 / 40)
