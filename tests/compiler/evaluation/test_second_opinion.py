"""Builds of the teaching program whose score is gamed, judged by a teacher who sees it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from compiler.build import build
from compiler.evaluation.contenders import count_beside
from compiler.events import BuildResult, Estimated, Finished, Log
from compiler.report.page import find_evidence, make_report, read_evidence
from compiler.request import Cast, told_name
from compiler.terminal import verdict
from engine.chat import Delta, Reply, Usage
from engine.settings import EngineSettings
from programs.tasks.teaching import program
from tests.compiler.scripted import Bound, Named, request

SOUP = "For example, imagine because therefore first then next why try?\nNotice:"
CURT = "Yes it is."
BREAKS_OUT = "</dd><script>alert(1)</script>"


class Classroom:
    """Answers every other question with teaching phrases and the context's words, the others curtly but well.

    As a judge it sees through the soup, or says nothing that is a grade.
    """

    def __init__(self, grades: bool = True, dumb_at: str = "nothing") -> None:
        self.judged = 0
        self._grades, self._dumb_at = grades, dumb_at

    async def complete(self, messages: Sequence[object], params: Mapping[str, object]) -> Reply:
        asked = [str(message["content"]) for message in orjson.loads(orjson.dumps(list(messages)))]
        if "You grade one answer" in asked[0]:
            self.judged += 1
            told = "Words without sense.\nScore: 1" if "Notice:" in asked[1] else "Right.\nScore: 5"
            return Reply(told if self._grades else "Fine, I think.", "", "stop", Usage(90, 9), "judge")
        _, _, question = asked[-1].partition("[[ ## query ## ]]\n")
        if self._dumb_at in question:
            return Reply("No fields.", "", "stop", Usage(50, 2), "pupil")
        words = " ".join(re.findall(r"\w{4,}", question)[:30])
        said = f"{SOUP} {words}" if len(question.splitlines()[0]) % 2 else CURT
        return Reply(
            f"[[ ## response ## ]]\n{said}\n\n[[ ## completed ## ]]", "", "stop", Usage(50, 9), "pupil"
        )

    async def stream(
        self, messages: Sequence[object], params: Mapping[str, object]
    ) -> AsyncGenerator[Delta, None]:
        reply = await self.complete(messages, params)
        yield Delta(reply.text, finish_reason="stop", usage=reply.usage)


async def run(
    folder: Path, judge: Classroom | None, pupil: Classroom | None = None
) -> tuple[BuildResult, list[Any]]:
    teacher = None if judge is None else Bound(judge, "judge", Named("judge"))
    wanted = request(folder, program, optimizer="none")
    events = [event async for event in build(wanted, Cast(Bound(pupil or Classroom()), teacher))]
    assert isinstance(events[-1], Finished)
    return events[-1].result, events


def logged(events: Sequence[object]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Log))


async def test_an_answer_that_games_the_score_is_reported_where_a_judge_sees_it(tmp_path: Path) -> None:
    result, _ = await run(tmp_path, Classroom())
    found = result.second_opinion
    assert found is not None and found.correlation is not None and found.correlation < -0.5
    rows = [json.loads(line) for line in _evidence(result, "scorecard.jsonl").splitlines()]
    soups = {
        row["id"] for row in rows if row["program"] == "after" and "Notice:" in row["output"]["response"]
    }
    gamed = {row.id for row in found.only_metric.examples}
    assert gamed <= soups and found.only_metric.count >= 10
    assert all(
        row.score >= 2 / 3 and row.remark == "response: Words without sense."
        for row in found.only_metric.examples
    )
    assert all(row.got == CURT for row in found.only_opinion.examples) and found.only_opinion.count >= 10


async def test_both_verdicts_are_told_on_screen_and_kept_as_evidence(tmp_path: Path) -> None:
    result, _ = await run(tmp_path, Classroom())
    told = "\n".join(verdict(result))
    assert "Second opinion, judged_by_rubric(response) by 'judge': zero-shot" in told
    assert "score high and are judged low: the metric may be gamed there (#" in told
    kept = json.loads(_evidence(result, "build.json"))["second_opinion"]
    assert kept["only_metric"]["count"] > 0 and kept["n"] == 40 and kept["unjudged"] == 0
    rows = [json.loads(line) for line in _evidence(result, "scorecard.jsonl").splitlines()]
    scores = [row["second_opinion"]["score"] for row in rows if row["program"] == "after"]
    assert sum(scores) / len(scores) == pytest.approx(kept["after"]) and set(scores) == {0.0, 1.0}


async def test_a_judge_given_by_its_address_goes_by_the_name_of_its_model(tmp_path: Path) -> None:
    assert told_name(Bound(Classroom(), "big")) == "big"
    judge = Bound(Classroom(), engine=EngineSettings("local", model="qwen"))
    wanted = request(tmp_path, program, optimizer="none")
    events = [event async for event in build(wanted, Cast(Bound(Classroom()), judge))]
    assert isinstance(events[-1], Finished)
    told = "\n".join([logged(events), *verdict(events[-1].result)])
    assert "Asking 'qwen' for a second opinion" in told and "judged_by_rubric(response) by 'qwen'" in told


async def test_the_report_shows_where_they_part_and_no_text_breaks_out_of_it(tmp_path: Path) -> None:
    result, _ = await run(tmp_path, Classroom())
    evidence = read_evidence(find_evidence(result.path))
    page = make_report(evidence)
    assert "A second opinion" in page and "the metric may be gamed there" in page
    assert evidence.build["question"] == "query"
    build = json.loads(json.dumps(dict(evidence.build)))
    told = build["second_opinion"] | {"judge": BREAKS_OUT, "metric": BREAKS_OUT}
    told["only_metric"]["examples"] = [
        {**one, "got": BREAKS_OUT, "remark": BREAKS_OUT} for one in told["only_metric"]["examples"]
    ]
    hostile = make_report(replace(evidence, build=build | {"second_opinion": told}))
    assert "<script" not in hostile and "&lt;script&gt;" in hostile
    assert "A second opinion" not in make_report(replace(evidence, build=build | {"second_opinion": None}))


async def test_without_a_teacher_the_build_says_what_is_missing_and_ends_well(tmp_path: Path) -> None:
    result, events = await run(tmp_path, None)
    assert result.second_opinion is None and result.compiled.n == 40
    assert "No second opinion: judged_by_rubric(response) is asked only where a teacher" in logged(events)


async def test_a_judge_without_grades_costs_the_opinion_and_not_the_build(tmp_path: Path) -> None:
    result, events = await run(tmp_path, Classroom(grades=False))
    assert result.second_opinion is None and result.path.is_dir()
    assert "No second opinion: the metric raised on" in logged(events)
    assert json.loads(_evidence(result, "build.json"))["second_opinion"] is None


async def test_a_reply_that_cannot_be_read_is_bad_for_both_and_no_agreement(tmp_path: Path) -> None:
    everything, judge = Classroom(dumb_at=""), Classroom()
    result, _ = await run(tmp_path / "all", judge, everything)
    found = result.second_opinion
    assert found is not None and (found.n, found.after, found.correlation, judge.judged) == (0, 0, None, 0)
    result, _ = await run(tmp_path / "one", Classroom(), Classroom(dumb_at="Why did the Berlin Wall fall?"))
    assert result.second_opinion is not None and result.second_opinion.n == 39


async def test_the_judges_calls_are_foreseen_and_never_more(tmp_path: Path) -> None:
    judge = Classroom()
    assert count_beside(program, Cast(Bound(Classroom()), Bound(judge)), tmp_path).judged == 2
    _, events = await run(tmp_path, judge)
    (expected,) = [event for event in events if isinstance(event, Estimated)]
    (foreseen,) = [p.calls for p in expected.phases if (p.phase, p.role) == ("score", "teacher")]
    assert 0 < judge.judged <= foreseen == 80


def _evidence(result: BuildResult, name: str) -> str:
    return (result.path / "evidence" / result.build_id / name).read_text()
