from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest

from compiler.build import build
from compiler.events import BuildResult, Contender, Event, Finished, Log, Scored, StageStarted
from compiler.request import Cast
from programs.aliases import move_alias, read_aliases
from programs.errors import ProgramInvalid
from programs.program import Program
from programs.release import read_release
from tests.compiler.scripted import Adder, Bound, Named, SumsExamples, TwoSteps, program, request, sums


def worked(number: int) -> Any:
    """A sum with its working, which teaches the adder all sums."""
    (example,) = sums(1, first=number)
    a, b = number, number // 2
    return example.copy(reasoning=f"{a} and {b} make {a + b}").with_inputs("question")


def handpicked(*numbers: int) -> Program:
    return replace(program(), handpicked=lambda: [worked(number) for number in numbers])


async def run(
    folder: Path, asked: Program, adder: Adder | None = None, **cast: Any
) -> tuple[BuildResult, list[Event]]:
    student = Bound(adder or Adder(), fingerprint=cast.pop("fingerprint", Named()))
    made = request(folder, asked, optimizer=cast.pop("optimizer", "none"))
    events = [event async for event in build(made, Cast(student, **cast))]
    assert isinstance(events[-1], Finished)
    return events[-1].result, events


def named(result: BuildResult) -> dict[str, Contender]:
    return {contender.name: contender for contender in result.contenders}


def logs(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Log))


async def test_a_first_build_compares_the_plain_program_only(tmp_path: Path) -> None:
    result, _ = await run(tmp_path, program())
    assert list(named(result)) == ["zero-shot", "compiled"]


async def test_hand_picked_examples_are_a_contender(tmp_path: Path) -> None:
    result, events = await run(tmp_path, handpicked(5001, 5002))
    manual = named(result)["manual few-shot"]
    assert (manual.summary.mean, named(result)["zero-shot"].summary.mean) == (1.0, 0.5)
    assert manual.what == "2 hand-picked examples"
    assert manual.against is not None and manual.against.test == "mcnemar" and manual.against.lost == 20
    assert StageStarted("baseline", 40, "manual few-shot") in events


async def test_a_hand_picked_example_that_is_a_test_example_is_left_out(tmp_path: Path) -> None:
    result, events = await run(tmp_path, handpicked(2000, 2001))
    assert "manual few-shot" not in named(result) and "Left 2 hand-picked examples out" in logs(events)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [(lambda: 1 / 0, "ZeroDivisionError"), (lambda: ["What is 2 + 2?"], "is no dspy.Example")],
    ids=["raises", "texts"],
)
async def test_hand_picked_examples_that_are_none_are_told_before_the_search(
    tmp_path: Path, made: Any, sentence: str
) -> None:
    adder = Adder()
    with pytest.raises(ProgramInvalid, match=sentence):
        await run(tmp_path, replace(program(), handpicked=made), adder, optimizer="BootstrapFewShot")
    assert adder.calls == 4  # the rehearsal's


async def test_a_teacher_is_measured_on_its_own_model(tmp_path: Path) -> None:
    teacher = Bound(Adder(lambda total: None), "big", Named("big"))
    result, _ = await run(tmp_path, program(), teacher=teacher)
    assert named(result)["teacher"].summary.n == 40 and named(result)["teacher"].what == "model 'big'"
    assert isinstance(teacher.client, Adder) and teacher.client.calls >= 40


async def test_the_champion_is_measured_and_equal_requests_are_made_once(tmp_path: Path) -> None:
    first, _ = await run(tmp_path, program())
    adder = Adder()
    second, _ = await run(tmp_path, program(), adder)
    champion = named(second)["champion"]
    assert champion.release == f"sums@{first.version}" == champion.what and champion.summary.mean == 0.5
    assert adder.calls == 4 + 40  # the rehearsal, and once for all three
    assert [c.corrected_p for c in second.contenders] == [1.0, 1.0, None]


async def test_a_champion_of_another_student_is_measured_on_this_one_and_said_so(tmp_path: Path) -> None:
    await run(tmp_path, program())
    result, events = await run(tmp_path, program(), fingerprint=Named("another"))
    assert str(named(result)["champion"].what).endswith("compiled for another student")
    assert "was compiled for another student; it is measured on this one" in logs(events)


async def test_an_interpreted_champion_is_run_as_the_gateway_would(tmp_path: Path) -> None:
    asked = program(TwoSteps, examples=SumsExamples(20, 5, 10))
    await run(tmp_path, asked, optimizer="LabeledFewShot")
    result, _ = await run(tmp_path, asked)
    assert named(result)["champion"].summary.n == 10


@pytest.mark.parametrize(("optimizer", "kind"), [("KNNFewShot", "neighbours"), ("Ensemble", "ensemble")])
async def test_a_champion_of_every_kind_is_measured(tmp_path: Path, optimizer: str, kind: str) -> None:
    first, _ = await run(tmp_path, program(), optimizer=optimizer)
    assert read_release(first.path).identity.kind == kind
    result, _ = await run(tmp_path, program())
    assert named(result)["champion"].summary.mean == first.compiled.mean > 0.9


@pytest.mark.parametrize("damage", ["body", "alias"])
async def test_a_broken_champion_is_told_and_fails_nothing(tmp_path: Path, damage: str) -> None:
    first, _ = await run(tmp_path, program())
    if damage == "body":
        (first.path / "plan.json").write_text("{}")
    else:
        (first.path.parent / "fedcba987654").mkdir()
        move_alias(first.path.parent, "champion", "fedcba987654", "by mistake")
    result, events = await run(tmp_path, program(), optimizer="LabeledFewShot")
    assert "champion" not in named(result) and "can't be run and is not compared" in logs(events)
    assert read_aliases(first.path.parent).candidate == result.version


async def test_a_champion_whose_answers_the_metric_cannot_read_is_told_and_fails_nothing(
    tmp_path: Path,
) -> None:
    def reasoned(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        return float(bool(prediction.reasoning) and prediction.answer == example.answer)

    few = SumsExamples(20, 5, 40)
    await run(tmp_path, program(lambda: dspy.Predict("question -> answer"), few))
    result, events = await run(tmp_path, program(examples=few, metric=reasoned))
    assert "champion" not in named(result) and "can't be measured and is not compared" in logs(events)
    assert result.compiled.mean == 0.5


async def test_progress_of_a_further_contender_is_not_taken_for_the_plain_programs(tmp_path: Path) -> None:
    _, events = await run(tmp_path, handpicked(5001))
    scored = [event for event in events if isinstance(event, Scored) and event.stage == "baseline"]
    assert [event.candidate for event in scored] == [None] * 40 + ["manual few-shot"] * 40


async def test_every_contender_is_in_the_evidence(tmp_path: Path) -> None:
    await run(tmp_path, program())
    result, _ = await run(tmp_path, handpicked(5001), optimizer="LabeledFewShot")
    folder = result.path / "evidence" / result.build_id
    told = json.loads((folder / "build.json").read_text())
    assert [c["name"] for c in told["contenders"]] == [
        "zero-shot", "manual few-shot", "champion", "compiled",
    ]  # fmt: skip
    rows = [json.loads(line) for line in (folder / "scorecard.jsonl").read_text().splitlines()]
    assert {row["program"] for row in rows} == {"before", "manual few-shot", "champion", "after"}
    assert told["split"]["earlier_looks"][0]["program"] == "sums" and told["duplicates"]["rows"] == 0
    assert told["analysis"]["fixed"]["count"] == told["scores"]["difference"]["won"]


async def test_test_rows_that_nearly_are_training_rows_are_told_while_it_builds(tmp_path: Path) -> None:
    def doubled(split: str) -> list[Any]:
        tail = " and say it in a whole sentence, please, for somebody who is new to this and reads slowly"
        end = {"train": ".", "dev": "?", "test": " !"}[split]
        return [
            example.copy(question=example.question + tail + end).with_inputs("question")
            for example in sums(20, first={"train": 0, "dev": 40, "test": 0}[split])
        ]

    result, events = await run(tmp_path, program(examples=doubled))
    assert "20 of 20 test rows are nearly training or dev rows" in logs(events)
    assert result.duplicated is not None and result.duplicated.without is None
    told = json.loads((result.path / "evidence" / result.build_id / "build.json").read_text())["duplicates"]
    assert told["rows"] == 20 and len(told["pairs"]) == 10 and told["share"] == 1.0
