from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import dspy
import pytest

from compiler.bench import Bench, Crew, Pace, Subject
from compiler.calls import Books, RecordedModel
from compiler.candidate import Candidate
from compiler.charge import Unknown
from compiler.ledger import Ledger
from compiler.optimizers.bootstrap import BootstrapFewShot
from compiler.optimizers.labeled import LabeledFewShot
from compiler.optimizers.random_search import BootstrapFewShotWithRandomSearch
from compiler.scoring import Judge, Scorer
from compiler.spending import Spending
from engine.lm import make_lm
from programs.adapter import ProgramAdapter
from programs.program import Program
from tests.compiler.scripted import Adder, Collected, TwoSteps, chain, program, right_sum, said, sums


def bench(folder: Path, adder: Adder, asked: Program | None = None, train: int = 20, seed: int = 0) -> Bench:
    asked = asked or program()
    ledger = Ledger(folder / f"{seed}.sqlite")
    slots = asyncio.Semaphore(16)
    model = RecordedModel(adder, {}, Books(ledger, Spending(ledger), Unknown()), slots, pauses=())
    scorer = Scorer(Judge(asked.metric), model)
    examples = (tuple(sums(train)), tuple(sums(12, 1000)))
    crew = Crew(scorer, scorer, model)
    return Bench(Subject(asked, asked.make_module()), examples, crew, Pace(seed, 8), Collected())


def demos_of(candidate: Candidate, name: str = "predict") -> list[dict[str, Any]]:
    return [dict(demo) for demo in candidate.demos[name]]


def dspys_demos(compiled: dspy.Module) -> list[dict[str, Any]]:
    return [{k: v for k, v in demo.items() if k != "augmented"} for demo in compiled.predictors()[0].demos]


def dspys(optimizer: Any, **compile_arguments: Any) -> dspy.Module:
    """What DSPy's optimiser of that name makes of the same program, examples and model."""
    lm = make_lm(Adder(), "adder", {"temperature": 0.0, "max_tokens": 64})
    with dspy.context(lm=lm, adapter=ProgramAdapter()):
        compiled = optimizer.compile(chain(), trainset=sums(20), **compile_arguments)
    lm.engine.close()
    return compiled


async def test_labelled_examples_are_those_dspy_draws(tmp_path: Path) -> None:
    ours = await LabeledFewShot(k=5).optimise(bench(tmp_path, Adder()))
    assert demos_of(ours) == dspys_demos(dspys(dspy.LabeledFewShot(k=5)))


async def test_bootstrapped_demonstrations_are_those_dspy_finds(tmp_path: Path) -> None:
    ours = await BootstrapFewShot(3, 5).optimise(bench(tmp_path, Adder()))
    theirs = dspy.BootstrapFewShot(metric=right_sum, max_bootstrapped_demos=3, max_labeled_demos=5)
    assert demos_of(ours) == dspys_demos(dspys(theirs))


async def test_random_search_finds_the_program_dspy_finds(tmp_path: Path) -> None:
    ours = await BootstrapFewShotWithRandomSearch(2, 2, 3).optimise(bench(tmp_path, Adder()))
    theirs = dspy.BootstrapFewShotWithRandomSearch(
        metric=right_sum,
        max_bootstrapped_demos=2,
        max_labeled_demos=2,
        num_candidate_programs=3,
        num_threads=2,
    )
    assert demos_of(ours) == dspys_demos(dspys(theirs, valset=sums(12, 1000)))


async def test_an_example_is_never_shown_to_the_run_that_has_to_solve_it(tmp_path: Path) -> None:
    adder = Adder()
    await BootstrapFewShot(8, 16).optimise(bench(tmp_path, adder))
    for messages in adder.asked:
        question = messages[-1]["content"].partition("\n\n")[0]
        assert all(question not in message["content"] for message in messages[:-1])


async def test_no_more_examples_are_tried_than_going_one_by_one_would(tmp_path: Path) -> None:
    adder = Adder()
    await BootstrapFewShot(4, 0).optimise(bench(tmp_path, adder))
    # Plain, the adder gets only even sums right: 0 1 3 4 6 7 9 10 ...
    assert adder.calls == 8


async def test_when_nothing_passes_the_demonstrations_are_labelled_ones(tmp_path: Path) -> None:
    ours = await BootstrapFewShot(4, 3).optimise(bench(tmp_path, Adder(lambda _: said("no idea", "?"))))
    assert len(demos_of(ours)) == 3 and all("reasoning" not in demo for demo in demos_of(ours))


async def test_a_threshold_keeps_weaker_runs_out(tmp_path: Path) -> None:
    def half(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        return 0.5

    optimizer = BootstrapFewShot(4, 0, metric_threshold=0.6)
    ours = await optimizer.optimise(bench(tmp_path, Adder(), program(metric=half)))
    assert demos_of(ours) == []


async def test_later_rounds_sample_until_a_run_passes(tmp_path: Path) -> None:
    answers = iter([said("no", "?"), said("no", "?"), said("0 and 0 make 0", "0")])
    adder = Adder(lambda _: next(answers))
    ours = await BootstrapFewShot(1, 0, max_rounds=3).optimise(bench(tmp_path, adder))
    assert adder.calls == 3 and demos_of(ours)[0]["reasoning"] == "0 and 0 make 0"


async def test_every_predictor_of_a_program_gets_its_own_demonstrations(tmp_path: Path) -> None:
    asked = program(TwoSteps, metric=right_sum)
    ours = await BootstrapFewShot(2, 0).optimise(bench(tmp_path, Adder(), asked))
    first, second = demos_of(ours, "first"), demos_of(ours, "second.predict")
    assert [set(demo) for demo in first] == [{"question", "reasoning"}] * 2
    assert [set(demo) for demo in second] == [{"question", "sum", "reasoning", "answer"}] * 2


async def test_the_metric_sees_the_trace_when_demonstrations_are_chosen(tmp_path: Path) -> None:
    seen: list[Any] = []

    def watching(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        seen.append(trace)
        return right_sum(example, prediction)

    await BootstrapFewShot(1, 0).optimise(bench(tmp_path, Adder(), program(metric=watching)))
    predictor, inputs, outputs = seen[0][0]
    assert isinstance(predictor, dspy.Predict)
    assert inputs == {"question": "What is 0 + 0?"} and outputs.answer == "0"


@pytest.mark.parametrize("seed", [0, 1])
async def test_the_same_seed_finds_the_same_candidate(tmp_path: Path, seed: int) -> None:
    optimizer = BootstrapFewShotWithRandomSearch(2, 2, 3)
    first = await optimizer.optimise(bench(tmp_path / "a", Adder(pause=0.001), seed=seed))
    again = await optimizer.optimise(bench(tmp_path / "b", Adder(), seed=seed))
    assert (first.name, demos_of(first)) == (again.name, demos_of(again))
