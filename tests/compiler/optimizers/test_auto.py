from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dspy
import pytest

from compiler.build import build
from compiler.events import Event, Finished, Log
from compiler.optimizers.auto import RULES, Situation, choose
from compiler.request import Cast
from compiler.spending import Ceiling
from tests.compiler.proposer import NAME, Proposer
from tests.compiler.scripted import Adder, Bound, Named, SumsExamples, program, request, right_sum

DEAR = ("MIPROv2", "GEPA", "COPRO", "SIMBA", "BetterTogether")


def chosen(**known: Any) -> str:
    return choose(Situation(**known), lambda _: True).name


@pytest.mark.parametrize(
    ("known", "name"),
    [
        ({"train": 12}, "BootstrapFewShot"),
        ({"train": 12, "writer": "big"}, "BootstrapFewShot"),
        ({"train": 60}, "BootstrapFewShotWithRandomSearch"),
        ({"train": 60, "writer": "big"}, "BootstrapFewShotWithRandomSearch"),
        ({"train": 60, "writer": "big", "predictors": 2}, "MIPROv2"),
        ({"train": 200, "writer": "big"}, "MIPROv2"),
        ({"train": 30, "writer": "big", "feedback": True}, "GEPA"),
        ({"train": 30, "feedback": True}, "BootstrapFewShot"),
    ],
)
def test_data_program_and_models_decide(known: Mapping[str, Any], name: str) -> None:
    assert chosen(**known) == name


@pytest.mark.parametrize("train", [10, 50, 200, 5000])
@pytest.mark.parametrize("predictors", [1, 3])
@pytest.mark.parametrize("feedback", [False, True])
def test_nothing_is_proposed_where_only_the_student_could(
    train: int, predictors: int, feedback: bool
) -> None:
    assert chosen(train=train, predictors=predictors, feedback=feedback) not in DEAR


def test_what_the_ceiling_does_not_allow_is_passed_over_and_said() -> None:
    asked = Situation(train=200, writer="big")
    few = choose(asked, lambda optimizer: optimizer.expected_runs(200, 100, 0.5).scored < 50)
    assert few.name == "BootstrapFewShot" and few.why is not None
    assert few.why.endswith("MIPROv2 would not fit below the ceiling")
    assert choose(asked, lambda _: False).name == "LabeledFewShot"


def test_every_reason_can_be_told() -> None:
    situation = Situation(200, 2, "big", feedback=True)
    assert all("{" not in rule.why.format(**situation._asdict()) for rule in RULES)


def wordy(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> dspy.Prediction:
    return dspy.Prediction(score=right_sum(example, prediction), feedback="think again")


async def built(folder: Path, cast: Cast, **fields: Any) -> tuple[list[Event], dict[str, Any]]:
    asked = program(metric=wordy, examples=SumsExamples(train=20, dev=10, test=10))
    events = [event async for event in build(request(folder, asked, optimizer="auto", **fields), cast)]
    path = next(event.result.path for event in events if isinstance(event, Finished))
    return events, json.loads(next(path.glob("evidence/*/build.json")).read_text())


async def test_a_build_says_what_it_chose_and_keeps_it_as_evidence(tmp_path: Path) -> None:
    proposer = Bound(Proposer(), name=NAME, fingerprint=Named(NAME))
    events, evidence = await built(tmp_path, Cast(Bound(Adder()), proposer=proposer))
    assert any(isinstance(event, Log) and event.text.startswith("Optimizer: GEPA; ") for event in events)
    assert evidence["asked"]["optimizer"] == "auto"
    told = evidence["optimizer"]
    assert (told["asked"], told["name"]) == ("auto", "GEPA")
    assert told["arguments"]["reflection_minibatch_size"] == 3


async def test_a_build_with_a_low_ceiling_takes_what_fits(tmp_path: Path) -> None:
    cast = Cast(Bound(Adder()))
    _, evidence = await built(tmp_path, cast, ceiling=Ceiling(calls=36))
    assert evidence["optimizer"]["name"] == "LabeledFewShot" and evidence["spent"]["calls"] <= 36
